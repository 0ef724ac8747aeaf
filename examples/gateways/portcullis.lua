-- Sends the method, URL, headers and body of a request to Portcullis. Only 200 forwards it; 204 answers a preflight.

-- Headers that are not sent to Portcullis: they belong to the connection, or are set below.
local OWN = {
    ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
    ["transfer-encoding"] = true, ["expect"] = true, ["host"] = true, ["content-length"] = true,
    ["x-original-method"] = true, ["x-original-uri"] = true, ["x-original-content-length"] = true,
    ["x-original-transfer-encoding"] = true,
}
local ANSWER_HEADERS = {
    "content-type", "cache-control", "vary", "www-authenticate", "access-control-allow-origin",
    "access-control-expose-headers", "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age",
}

local function answer(txn, status, headers, body)
    txn:done(txn:reply { status = status, headers = headers, body = body })
end

local function refuse(txn, status, reason, why)
    local body = string.format('{"error": "%s", "reason": "%s"}', why, reason)
    answer(txn, status, { ["content-type"] = { "application/json" } }, body)
end

-- The lists of HAProxy start at 0.
local function values(list)
    local found = {}
    for at = 0, #list do
        found[at + 1] = list[at]
    end
    return found
end

core.register_action("portcullis", { "http-req" }, function(txn, url)
    local sent = txn.http:req_get_headers()
    local body = txn.f:req_body() or ""
    local length = sent["content-length"]
    -- Without an announced length, the buffer may contain only a part of the body.
    if sent["transfer-encoding"] or (#body > 0 and not length) then
        return refuse(txn, 411, "request_not_understood", "a body needs a Content-Length")
    end
    if length and tonumber(length[0]) ~= #body then
        return refuse(txn, 413, "request_not_understood", "the body is too large to be checked")
    end
    local headers = { ["x-original-method"] = { txn.f:method() }, ["x-original-uri"] = { txn.f:pathq() } }
    for name, list in pairs(sent) do
        if not OWN[name] then
            headers[name] = values(list)
        end
    end
    local client = core.httpclient()
    local response
    if #body > 0 then
        response = client:post { url = url, headers = headers, body = body, timeout = 1000 }
    else
        response = client:get { url = url, headers = headers, timeout = 1000 }
    end
    local status = response and response.status or 0
    -- Without an answer, HAProxy returns its own error page.
    local kind = response and response.headers and response.headers["content-type"]
    if status == 200 then
        for _, name in ipairs { "x-portcullis-token-id", "x-portcullis-generation" } do
            local value = response.headers[name]
            if value and value[0] and value[0] ~= "" then
                txn.http:req_set_header(name, value[0])
            end
        end
    elseif status == 204 or (status >= 400 and kind and kind[0] == "application/json") then
        local headers = {}
        for _, name in ipairs(ANSWER_HEADERS) do
            if response.headers[name] then
                headers[name] = values(response.headers[name])
            end
        end
        answer(txn, status, headers, status ~= 204 and response.body or nil)
    else
        refuse(txn, 503, "policy_unavailable", "the authorization service cannot be reached")
    end
end, 1)
