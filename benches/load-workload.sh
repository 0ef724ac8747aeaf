# The policies and requests of load.sh and gateways.sh, which source this file and set `folder`.
#
# The client prints the requests a second, the number of requests, the number of failed ones, and the p99 latency in
# microseconds.

# 1,000 tokens, each with ten grants and one web site.
awk 'BEGIN {
    printf "{\"connections\": [{\"name\": \"dw\", \"dialect\": \"bigquery\"}], \"tokens\": ["
    for (t = 0; t < 1000; t++) {
        printf "%s{\"id\": \"t%d\", \"token\": \"secret-of-token-%d\", \"allowed_apis\": [\"maps\"], \"referers\": [\"https://app.example.com/\"], \"grants\": [", t ? "," : "", t, t
        for (g = 0; g < 10; g++) printf "%s{\"connection_name\": \"dw\", \"source\": \"acme.%s%d_%d%s\"}", g ? "," : "", g < 8 ? "tables.t" : "tiles_", t, g, g < 8 ? "" : ".*"
        printf "]}"
    }
    printf "]}"
}' >"$folder/policy.json"

# The same tokens, each with one grant of all sources and without referers.
awk 'BEGIN {
    printf "{\"connections\": [{\"name\": \"dw\", \"dialect\": \"bigquery\"}], \"tokens\": ["
    for (t = 0; t < 1000; t++) {
        printf "%s{\"id\": \"t%d\", \"token\": \"secret-of-token-%d\", \"allowed_apis\": [\"maps\"], ", t ? "," : "", t, t
        printf "\"grants\": [{\"connection_name\": \"dw\", \"source\": \"*\"}]}"
    }
    printf "]}"
}' >"$folder/all.json"

# Each request has another token than the previous request, and is allowed.
cat >"$folder/ask.lua" <<'LUA'
local requests, at = {}, 0
function init(arguments)
    for t = 0, 999 do
        local token, name = "secret-of-token-" .. t, "acme.tables.t" .. t .. "_" .. t % 8
        local url = "/v3/maps/dw/table/5/15/12?name=" .. name .. "&formatTiles=binary&cache=1767225600000"
        local headers = {authorization = "Bearer " .. token, referer = "https://app.example.com/", ["user-agent"] = "wrk"}
        if arguments[1] == "native" or arguments[1] == "same" then
            requests[t] = wrk.format("POST", "/v1/decide", {["content-type"] = "application/json"}, string.format(
                '{"token": "%s", "api": "maps", "connection": "dw", "resource": "%s", "referer": "https://app.example.com/"}', token, name))
        elseif arguments[1] == "nginx" then
            headers["x-original-method"], headers["x-original-uri"] = "GET", url
            requests[t] = wrk.format("GET", "/authz/nginx", headers)
        else
            requests[t] = wrk.format("GET", url, headers)
        end
    end
end
function request()
    at = (at + 389) % 1000
    return requests[at]
end
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("\nfound %.0f %d %d %.0f\n", summary.requests / summary.duration * 1e6, summary.requests, failed,
        latency:percentile(99)))
end
LUA
