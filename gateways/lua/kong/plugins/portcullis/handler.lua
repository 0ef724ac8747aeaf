-- The plugin for Kong: a thin layer over `resty.portcullis`.

local portcullis = require "resty.portcullis"

local kong = kong

-- After Kong's own plugins that terminate requests, and before those that count or change them.
local Handler = { PRIORITY = 1050, VERSION = "0.1.0" }

local function fields(headers)
    local found = {}
    for _, header in ipairs(headers) do
        found[header[1]] = header[2]
    end
    return found
end

function Handler:access(conf)
    local policy, why = portcullis.shared(conf)
    if not policy then
        kong.log.err("portcullis: ", why)
        local body = '{"error":"no policy is available: try again later","reason":"policy_unavailable"}'
        return kong.response.exit(503, body, { ["content-type"] = "application/json" })
    end
    -- Kong forwards the path of the client, without the prefix of a route with `strip_path`.
    local answer = policy:decide(ngx.var.request_uri)
    ngx.ctx.portcullis = answer
    if not answer.allowed then
        return kong.response.exit(answer.status, answer.body, fields(answer.headers))
    end
    for _, name in ipairs(answer.removed) do
        kong.service.request.clear_header(name)
    end
    for _, header in ipairs(answer.headers) do
        kong.service.request.set_header(header[1], header[2])
    end
end

return Handler
