-- The configuration of the plugin for Kong: the options of `resty.portcullis`.

local typedefs = require "kong.db.schema.typedefs"

return {
    name = "portcullis",
    fields = {
        { consumer = typedefs.no_consumer },
        { protocols = typedefs.protocols_http },
        {
            config = {
                type = "record",
                fields = {
                    { policy = { type = "string", required = true } },
                    { library = { type = "string" } },
                    { routes = { type = "string" } },
                    { cors_origins = { type = "array", elements = { type = "string" } } },
                    { max_body_size = { type = "integer", between = { 1, 16777216 } } },
                    { poll_interval = { type = "number", gt = 0 } },
                    { origin_as_referer = { type = "boolean", default = false } },
                    { refuse_query_tokens = { type = "boolean", default = false } },
                    { pass_preflights = { type = "boolean", default = false } },
                },
            },
        },
    },
}
