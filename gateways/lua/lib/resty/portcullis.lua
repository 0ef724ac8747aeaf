-- Decides requests inside nginx with Lua, over the C API of Portcullis (libportcullis_c.so).
--
--   init_by_lua_block        { policy = assert(require("resty.portcullis").open { policy = "/etc/portcullis/policy.json" }) }
--   init_worker_by_lua_block { policy:start() }
--   access_by_lua_block      { policy:enforce() }

local ffi = require "ffi"

local ngx = ngx
local cast, ffi_new, ffi_string = ffi.cast, ffi.new, ffi.string
local lower, find, sub, gsub, char = string.lower, string.find, string.sub, string.gsub, string.char
local get_headers, get_method = ngx.req.get_headers, ngx.req.get_method

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

-- Returns the target as the client wrote it; nil if nginx routes another one: then its text is not known here.
local function routed()
    local target, uri, args = ngx.var.request_uri, ngx.var.uri, ngx.var.args
    local at = find(target, "?", 1, true)
    local path = at and sub(target, 1, at - 1) or target
    if path ~= uri and unescaped(path) ~= uri or (at and sub(target, at + 1) or "") ~= (args or "") then
        return nil
    end
    return target
end

-- Memory for headers, which all requests of a worker share: nothing yields while it is used.
local capacity = 64
local header_memory = ffi_new("pcl_header[?]", capacity)
local request_memory = ffi_new("pcl_http_request")
request_memory.struct_size = ffi.sizeof("pcl_http_request")

-- Returns the headers as a flat list of names and values, and whether they announce a body.
local function sent_headers()
    local list, count, announced = {}, 0, false
    for name, value in pairs(get_headers(0, true)) do
        local length = #name
        if length == 14 or length == 17 then
            local known = lower(name)
            announced = announced or known == "transfer-encoding" or known == "content-length" and value ~= "0"
        end
        if type(value) == "table" then
            for at = 1, #value do
                list[count + 1], list[count + 2] = name, value[at]
                count = count + 2
            end
        else
            list[count + 1], list[count + 2] = name, value
            count = count + 2
        end
    end
    return list, count / 2, announced
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
    target = target or routed()
    if not target then
        return NOT_ROUTED
    end
    local library, method = self.library, get_method()
    local list, count, announced = sent_headers()
    local body = ""
    -- Over HTTP/2, a body may arrive that no header announces.
    if announced or ngx.req.http_version() >= 2 then
        local texts = ffi_new("pcl_text[2]")
        set(texts[0], method)
        set(texts[1], target)
        if library.pcl_needs_body(self.handle, texts[0], texts[1]) == 1 then
            body = read_body()
        else
            body = nil
        end
    end

    if count > capacity then
        capacity = 2 * count
        header_memory = ffi_new("pcl_header[?]", capacity)
    end
    for at = 0, count - 1 do
        local header = header_memory[at]
        set(header.name, list[2 * at + 1])
        set(header.value, list[2 * at + 2])
    end
    local request = request_memory
    set(request.method, method)
    set(request.target, target)
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
