-- A stub of the part of APISIX's plugin interface that the plugin uses.

package.loaded["apisix.core"] = {
    log = { error = function(...) ngx.log(ngx.ERR, ...) end },
    schema = {
        check = function(schema, conf)
            for _, name in ipairs(schema.required) do
                if conf[name] == nil then
                    return false, "property \"" .. name .. "\" is required"
                end
            end
            local lua = { array = "table", integer = "number" }
            for name, value in pairs(conf) do
                local known = schema.properties[name]
                if known and type(value) ~= (lua[known.type] or known.type) then
                    return false, "property \"" .. name .. "\" validation failed"
                end
            end
            return true
        end,
    },
    response = { set_header = function(name, value) ngx.header[name] = value end },
    request = {
        set_header = function(ctx, name, value)
            assert(type(ctx) == "table" and type(name) == "string")
            if value == nil then
                ngx.req.clear_header(name)
            else
                ngx.req.set_header(name, value)
            end
        end,
    },
}

-- Runs the access phase of a plugin as APISIX does: a status and a body end the request.
return function(plugin, conf)
    assert(plugin.check_schema(conf))
    local status, body = plugin.access(conf, { var = ngx.var })
    if status then
        ngx.status = status
        if status ~= 204 then
            ngx.header["content-length"] = #body
            ngx.print(body)
        end
        return ngx.exit(status)
    end
end
