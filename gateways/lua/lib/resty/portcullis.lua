-- Decides requests inside nginx with Lua, over the C API of Portcullis (libportcullis_c.so).
--
--   init_by_lua_block        { policy = assert(require("resty.portcullis").open { policy = "/etc/portcullis/policy.json" }) }
--   init_worker_by_lua_block { policy:start() }
--   access_by_lua_block      { policy:enforce() }

local ffi = require "ffi"
local current_request = require("resty.core.base").get_request
-- They declare the functions of nginx that this file calls. A call is part of the machine code that LuaJIT compiles.
require "resty.core.request"
require "resty.core.var"

local C, ngx = ffi.C, ngx
local cast, ffi_new, ffi_string = ffi.cast, ffi.new, ffi.string
local lower, find, sub, gsub, char = string.lower, string.find, string.sub, string.gsub, string.char
local get_method = ngx.req.get_method

-- The part of portcullis.h that this file uses. The file runs again if the code cache of nginx is off.
if not pcall(ffi.typeof, "pcl_answer") then
    ffi.cdef [[
        typedef struct pcl_policy pcl_policy;
        typedef struct pcl_string pcl_string;
        typedef struct { const char *data; size_t length; } pcl_text;
        typedef struct { int64_t seconds; uint32_t nanoseconds; } pcl_time;
        typedef struct { pcl_text name; pcl_text value; } pcl_header;
        typedef struct {
            int32_t allowed;
            uint32_t status;
            const pcl_header *headers;
            size_t header_count;
            const pcl_text *removed;
            size_t removed_count;
            pcl_text body;
            pcl_text reason;
            pcl_text token_id;
            uint64_t generation;
        } pcl_answer;
        typedef struct {
            size_t struct_size;
            pcl_text method;
            pcl_text target;
            const pcl_header *headers;
            size_t header_count;
            pcl_text body;
            const pcl_time *at;
        } pcl_http_request;
        typedef struct {
            size_t struct_size;
            uint32_t flags;
            uint32_t poll_milliseconds;
            pcl_text routes;
            const pcl_text *cors_origins;
            size_t cors_origin_count;
            size_t max_body;
        } pcl_options;
        const pcl_answer *pcl_decide_http(const pcl_policy *policy, const pcl_http_request *request);
        void pcl_answer_free(const pcl_answer *answer);
        int32_t pcl_needs_body(const pcl_policy *policy, pcl_text method, pcl_text target);
        pcl_policy *pcl_live_open(pcl_text path, const pcl_options *options, pcl_string **error);
        void pcl_policy_free(pcl_policy *policy);
        uint64_t pcl_generation(const pcl_policy *policy);
        pcl_string *pcl_last_error(const pcl_policy *policy);
        pcl_string *pcl_metrics(const pcl_policy *policy);
        pcl_text pcl_string_text(const pcl_string *string);
        void pcl_string_free(pcl_string *string);
        void *memchr(const void *bytes, int byte, size_t length);
        int memcmp(const void *one, const void *other, size_t length);
    ]]
end

local FLAGS = { origin_as_referer = 1, refuse_query_tokens = 2, pass_preflights = 4 }
local CORS_ANY, OPEN_UNAVAILABLE = 8, 16
local OPTIONS = {
    policy = "string", library = "string", routes = "string", cors_origins = "table", max_body_size = "number",
    poll_interval = "number", origin_as_referer = "boolean", refuse_query_tokens = "boolean", pass_preflights = "boolean",
}

local _M = { _VERSION = "0.1.0" }
local Policy = {}
Policy.__index = Policy

-- Returns a text of the library, and frees it; nil for NULL.
local function taken(library, text)
    if text == nil then
        return nil
    end
    local view = library.pcl_string_text(text)
    local copy = ffi_string(view.data, view.length)
    library.pcl_string_free(text)
    return copy
end

local function set(text, string)
    text.data, text.length = string, #string
end

-- Opens a policy, and returns it and why its file is not valid yet; nil and an error for wrong options. Until the file is
-- valid, requests are denied with 503. Starts no thread: call it in `init_by_lua`.
function _M.open(options)
    for name, value in pairs(options) do
        if OPTIONS[name] == nil then
            return nil, "expected an option of `resty.portcullis`, found `" .. tostring(name) .. "`"
        elseif type(value) ~= OPTIONS[name] then
            return nil, "`" .. name .. "`: expected a " .. OPTIONS[name] .. ", found a " .. type(value)
        end
    end
    if not options.policy or options.policy == "" then
        return nil, "expected the path of a policy, found none; help: set `policy`"
    end
    local is_loaded, library = pcall(ffi.load, options.library or "portcullis_c")
    if not is_loaded then
        return nil, "cannot load the library: " .. tostring(library) .. "; help: set `library` to the path of libportcullis_c.so"
    end

    local how = ffi_new("pcl_options")
    how.struct_size = ffi.sizeof("pcl_options")
    how.flags = OPEN_UNAVAILABLE
    for name, flag in pairs(FLAGS) do
        if options[name] then
            how.flags = how.flags + flag
        end
    end
    how.max_body = options.max_body_size or 0
    how.poll_milliseconds = (options.poll_interval or 0) * 1000
    if options.routes then
        set(how.routes, options.routes)
    end
    local origins = options.cors_origins or {}
    local texts = ffi_new("pcl_text[?]", math.max(#origins, 1))
    if #origins == 1 and origins[1] == "*" then
        how.flags = how.flags + CORS_ANY
    else
        for at, origin in ipairs(origins) do
            if type(origin) ~= "string" or not find(origin, "^https?://[^/*,; A-Z]+$") then
                return nil, "expected an origin as browsers send it, found `" .. tostring(origin)
                    .. "`; help: write `https://app.example.com`, or `*` alone for all origins"
            end
            set(texts[at - 1], origin)
        end
        how.cors_origins, how.cors_origin_count = texts, #origins
    end

    local path, error = ffi_new("pcl_text"), ffi_new("pcl_string *[1]")
    set(path, options.policy)
    local handle = library.pcl_live_open(path, how, error)
    local why = taken(library, error[0])
    if handle == nil then
        return nil, why
    end
    if why then
        ngx.log(ngx.ALERT, "portcullis: ", why)
    end
    local policy = { handle = ffi.gc(handle, library.pcl_policy_free), library = library }
    return setmetatable(policy, Policy), why
end

local opened = {}

-- Returns the policy with these options, opened once in each worker. For plugins, whose configuration arrives with requests.
function _M.shared(options)
    local key = {}
    for name in pairs(OPTIONS) do
        local value = options[name]
        key[#key + 1] = name .. "=" .. (type(value) == "table" and table.concat(value, " ") or tostring(value))
    end
    table.sort(key)
    key = table.concat(key, "\n")
    if not opened[key] then
        local wanted = {}
        for name in pairs(OPTIONS) do
            wanted[name] = options[name]
        end
        local policy, why = _M.open(wanted)
        if not policy then
            return nil, why
        end
        policy:start()
        opened[key] = policy
    end
    return opened[key]
end

-- Starts the thread that follows the file, and a timer that logs why a version is not valid. Without this call, the first
-- decision starts the thread, and nothing is logged. Call it in `init_worker_by_lua`.
function Policy:start()
    self.library.pcl_generation(self.handle)
    local logged
    ngx.timer.every(1, function()
        local why = self:last_error()
        if why and why ~= logged then
            ngx.log(ngx.ERR, "portcullis: ", why)
        end
        logged = why
    end)
end

-- Returns the generation of the policy; 0 without one.
function Policy:generation()
    return tonumber(self.library.pcl_generation(self.handle))
end

-- Returns why the last reload failed; nil if it succeeded.
function Policy:last_error()
    return taken(self.library, self.library.pcl_last_error(self.handle))
end

-- Returns the counters of this worker as text for Prometheus.
function Policy:metrics()
    return taken(self.library, self.library.pcl_metrics(self.handle))
end

local function unescaped(text)
    return (gsub(text, "%%(%x%x)", function(digits) return char(tonumber(digits, 16)) end))
end

-- Memory that all requests of a worker share: nothing yields while it is used.
local request_memory = ffi_new("pcl_http_request")
request_memory.struct_size = ffi.sizeof("pcl_http_request")
local capacity = 64
local header_memory = ffi_new("pcl_header[?]", capacity)
local sent_memory = ffi_new("ngx_http_lua_ffi_table_elt_t[?]", capacity)
local truncated = ffi_new("int[1]")
local path_memory, query_memory, protocol_memory = ffi_new("pcl_text"), ffi_new("pcl_text"), ffi_new("pcl_text")
local name_memory, value, value_length = ffi_new("char[32]"), ffi_new("char *[1]"), ffi_new("size_t[1]")
local problem = ffi_new("char *[1]")
local bytes = ffi.typeof("const char *")

local FOUND, ABSENT = 0, -5

-- Points `text` to a variable of nginx, whose memory is valid until nginx goes on; to no bytes if it has no value.
local function variable(request, name, text)
    local result = C.ngx_http_lua_ffi_var_get(request, name, #name, name_memory, 0, value, value_length, problem)
    if result == FOUND then
        text.data, text.length = value[0], value_length[0]
    elseif result == ABSENT then
        text.data, text.length = nil, 0
    else
        error("nginx returns no variable `" .. name .. "`")
    end
end

-- Whether the target is the path and the query that nginx routes, byte by byte: nearly always.
local function is_routed_as_sent(target, path, query)
    local length, path_length, query_length = tonumber(target.length), tonumber(path.length), tonumber(query.length)
    local mark = C.memchr(target.data, 63, length)
    if mark == nil then
        return query_length == 0 and path_length == length and C.memcmp(target.data, path.data, length) == 0
    end
    -- The first `?`: a path that holds one is forwarded in another form.
    return tonumber(cast(bytes, mark) - target.data) == path_length and path_length + 1 + query_length == length
        and C.memcmp(target.data, path.data, path_length) == 0
        and (query_length == 0 or C.memcmp(target.data + path_length + 1, query.data, query_length) == 0)
end

-- Points `target` to the target as the client wrote it. Returns false if nginx routes another one: then its text is not
-- known here.
local function routed(request, target)
    variable(request, "request_uri", target)
    variable(request, "uri", path_memory)
    variable(request, "args", query_memory)
    if is_routed_as_sent(target, path_memory, query_memory) then
        return true
    end
    local text = ffi_string(target.data, target.length)
    local uri = ffi_string(path_memory.data, path_memory.length)
    local args = ffi_string(query_memory.data, query_memory.length)
    local at = find(text, "?", 1, true)
    local path = at and sub(text, 1, at - 1) or text
    return (path == uri or unescaped(path) == uri) and (at and sub(text, at + 1) or "") == args
end

-- Points `header_memory` to the headers as they arrived, also those that occur twice. Returns how many there are, and whether
-- they announce a body.
local function read_headers(request)
    local count = C.ngx_http_lua_ffi_req_get_headers_count(request, 0, truncated)
    if count < 0 then
        error("the phase of the request has no headers")
    end
    if count > capacity then
        capacity = 2 * count
        header_memory = ffi_new("pcl_header[?]", capacity)
        sent_memory = ffi_new("ngx_http_lua_ffi_table_elt_t[?]", capacity)
    end
    if count > 0 and C.ngx_http_lua_ffi_req_get_headers(request, sent_memory, count, 1) ~= 0 then
        error("nginx returns no headers")
    end
    local announced = false
    for at = 0, count - 1 do
        local sent, header = sent_memory[at], header_memory[at]
        local name, length = sent.key.data, sent.key.len
        header.name.data, header.name.length = cast(bytes, name), length
        header.value.data, header.value.length = cast(bytes, sent.value.data), sent.value.len
        if length == 14 or length == 17 then
            local known = lower(ffi_string(name, length))
            announced = announced or known == "transfer-encoding"
                or known == "content-length" and ffi_string(sent.value.data, sent.value.len) ~= "0"
        end
    end
    return count, announced
end

-- Whether each request with a body announces it, as HTTP/1 does.
local function is_http1(request)
    variable(request, "server_protocol", protocol_memory)
    return protocol_memory.length > 6 and C.memcmp(protocol_memory.data, "HTTP/1.", 7) == 0
end

-- Returns the body of the request; nil if it is not known as a whole.
local function read_body()
    if not pcall(ngx.req.read_body) then
        return nil
    end
    local body = ngx.req.get_body_data()
    if body then
        return body
    end
    local path = ngx.req.get_body_file()
    if not path then
        return ""
    end
    local file = io.open(path, "rb")
    if not file then
        return nil
    end
    body = file:read("*a")
    file:close()
    return body
end

local NOT_ROUTED = {
    allowed = false, status = 403, removed = {}, reason = "request_not_understood", generation = 0,
    headers = { { "content-type", "application/json" }, { "cache-control", "no-store" } },
    body = '{"error":"the gateway changed the path before the check","reason":"request_not_understood"}',
}

local function texts_of(list, count)
    local found = {}
    for at = 0, count - 1 do
        found[at + 1] = ffi_string(list[at].data, list[at].length)
    end
    return found
end

local function optional(text)
    return text.length > 0 and ffi_string(text.data, text.length) or nil
end

-- Decides the current request, and returns the answer: `allowed`, `status`, `headers` (pairs of name and value), `removed`
-- (names of headers of the client), `body`, `reason`, `token_id`, `generation`. `target` replaces the target of the client,
-- for gateways that forward another one.
function Policy:decide(target)
    local sent = current_request()
    local library, request, method = self.library, request_memory, get_method()
    if target then
        set(request.target, target)
    elseif not routed(sent, request.target) then
        return NOT_ROUTED
    end
    set(request.method, method)
    local count, announced = read_headers(sent)
    local body = ""
    -- Over HTTP/2, a body may arrive that no header announces.
    if announced or not is_http1(sent) then
        if library.pcl_needs_body(self.handle, request.method, request.target) == 1 then
            body = read_body()
            -- Other requests used the memory while this one waited.
            if target then
                set(request.target, target)
            else
                variable(sent, "request_uri", request.target)
            end
            set(request.method, method)
            count = read_headers(sent)
        else
            body = nil
        end
    end
    request.headers, request.header_count = header_memory, count
    if body then
        set(request.body, body)
    else
        request.body.data, request.body.length = nil, 0
    end

    local answer = library.pcl_decide_http(self.handle, request)
    local headers = {}
    for at = 0, tonumber(answer.header_count) - 1 do
        local header = answer.headers[at]
        headers[at + 1] = {
            ffi_string(header.name.data, header.name.length), ffi_string(header.value.data, header.value.length),
        }
    end
    local result = {
        allowed = answer.allowed == 1,
        status = tonumber(answer.status),
        headers = headers,
        removed = texts_of(answer.removed, tonumber(answer.removed_count)),
        body = ffi_string(answer.body.data, answer.body.length),
        reason = optional(answer.reason),
        token_id = optional(answer.token_id),
        generation = tonumber(answer.generation),
    }
    library.pcl_answer_free(answer)
    return result
end

-- Sets the headers of an allowed request, or sends the answer to a denied one and ends it. Returns the answer.
--
-- `ngx.ctx.portcullis` keeps the answer for `log_by_lua`.
function Policy:enforce(target)
    local answer = self:decide(target)
    ngx.ctx.portcullis = answer
    if answer.allowed then
        for _, name in ipairs(answer.removed) do
            ngx.req.clear_header(name)
        end
        for _, header in ipairs(answer.headers) do
            ngx.req.set_header(header[1], header[2])
        end
        return answer
    end
    ngx.status = answer.status
    for _, header in ipairs(answer.headers) do
        ngx.header[header[1]] = header[2]
    end
    if answer.status == 204 then
        return ngx.exit(204)
    end
    ngx.header["content-length"] = #answer.body
    ngx.print(answer.body)
    return ngx.exit(ngx.HTTP_OK)
end

return _M
