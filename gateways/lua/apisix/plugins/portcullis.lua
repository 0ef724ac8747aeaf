-- The plugin for APISIX: a thin layer over `resty.portcullis`.

local core = require "apisix.core"
local portcullis = require "resty.portcullis"

local schema = {
    type = "object",
    properties = {
        policy = { type = "string", minLength = 1 },
        library = { type = "string", minLength = 1 },
        routes = { type = "string" },
        cors_origins = { type = "array", items = { type = "string" } },
        max_body_size = { type = "integer", minimum = 1, maximum = 16777216 },
        poll_interval = { type = "number", exclusiveMinimum = 0 },
        origin_as_referer = { type = "boolean", default = false },
        refuse_query_tokens = { type = "boolean", default = false },
        pass_preflights = { type = "boolean", default = false },
    },
    required = { "policy" },
    additionalProperties = true,
}

-- In the access phase, after the plugins that rewrite the path.
local _M = { version = 0.1, priority = 2550, name = "portcullis", schema = schema }

function _M.check_schema(conf)
    return core.schema.check(schema, conf)
end

function _M.access(conf, ctx)
    local policy, why = portcullis.shared(conf)
    if not policy then
        core.log.error("portcullis: ", why)
        core.response.set_header("content-type", "application/json")
        return 503, '{"error":"no policy is available: try again later","reason":"policy_unavailable"}'
    end
    -- APISIX forwards `upstream_uri` if a plugin changed the path, otherwise the path of the client.
    local target = ctx.var.upstream_uri
    if not target or target == "" then
        target = ctx.var.request_uri
    end
    local answer = policy:decide(target)
    ngx.ctx.portcullis = answer
    if not answer.allowed then
        for _, header in ipairs(answer.headers) do
            core.response.set_header(header[1], header[2])
        end
        return answer.status, answer.body
    end
    for _, name in ipairs(answer.removed) do
        core.request.set_header(ctx, name, nil)
    end
    for _, header in ipairs(answer.headers) do
        core.request.set_header(ctx, header[1], header[2])
    end
end

return _M
