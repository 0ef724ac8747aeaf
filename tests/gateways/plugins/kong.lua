-- A stub of the part of Kong's plugin interface that the plugin uses.

local function arguments_of(name, value)
    assert(type(name) == "string" and (value == nil or type(value) == "string"), "a header is a name and a text")
end

kong = {
    log = { err = function(...) ngx.log(ngx.ERR, ...) end },
    response = {
        exit = function(status, body, headers)
            assert(type(status) == "number" and type(body) == "string" and type(headers) == "table")
            ngx.status = status
            for name, value in pairs(headers) do
                arguments_of(name, value)
                ngx.header[name] = value
            end
            if status ~= 204 then
                ngx.header["content-length"] = #body
                ngx.print(body)
            end
            return ngx.exit(status)
        end,
    },
    service = {
        request = {
            set_header = function(name, value) arguments_of(name, value) ngx.req.set_header(name, value) end,
            clear_header = function(name) arguments_of(name) ngx.req.clear_header(name) end,
        },
    },
}
package.loaded["kong.db.schema.typedefs"] = { no_consumer = {}, protocols_http = {} }

-- Checks a configuration against the schema of the plugin: the names and the types of its fields.
return function(conf)
    local schema = require "kong.plugins.portcullis.schema"
    local types = {}
    for _, field in ipairs(schema.fields) do
        for _, own in ipairs(field.config and field.config.fields or {}) do
            for name, of in pairs(own) do
                types[name] = of.type
                assert(not of.required or conf[name] ~= nil, name .. " is required")
                if conf[name] == nil then
                    conf[name] = of.default
                end
            end
        end
    end
    local lua = { array = "table", integer = "number" }
    for name, value in pairs(conf) do
        assert(types[name], name .. " is not in the schema")
        assert(type(value) == (lua[types[name]] or types[name]), name .. " has another type")
    end
    return conf
end
