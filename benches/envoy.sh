#!/usr/bin/env bash
# Measures what a check costs in Envoy: benches/envoy.sh [ROUNDS [SECONDS]]. The default is 21 rounds of 2 seconds.
#
# There are four ways, each an Envoy with one worker in front of the same nginx, with the files of examples/gateways:
# - none: Envoy without a check
# - module: the module in Envoy's own process
# - grpc: `ext_authz` over gRPC to `portcullis serve`
# - http: `ext_authz` over HTTP to `portcullis serve`
#
# The ways take turns, in another order each round. A ratio is that of two ways in one round, and the medians of the rounds
# are printed: a ratio holds on other machines, a rate does not. The added p99 is the difference to `none` in one round,
# under full load, of 32 connections.
#
# Needs wrk and nginx (Debian packages), and Envoy (tests/gateways/run.sh installs it). With `BUILT=1`, nothing is built.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-21}
seconds=${2:-2}
target=$(realpath "${CARGO_TARGET_DIR:-target}")/release
PATH=$PWD/target/gateways/venv/bin:/usr/sbin:$PATH
for program in wrk nginx envoy; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install wrk nginx; tests/gateways/run.sh installs Envoy" >&2; exit 1; }
done
[[ -n ${BUILT:-} ]] || cargo build --release --locked -p portcullis-cli -p portcullis-envoy

folder=$(mktemp -d)
started=()
end() {
    ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -r "$folder"
}
trap end EXIT
start() { "$@" >>"$folder/log" 2>&1 & started+=($!); }
await() { for _ in {1..400}; do (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; cat "$folder/log" >&2; exit 1; }

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

# Each request has another token than the previous request, and is allowed.
cat >"$folder/ask.lua" <<'LUA'
local requests, at = {}, 0
function init()
    for t = 0, 999 do
        local url = "/v3/maps/dw/table/5/15/12?name=acme.tables.t" .. t .. "_" .. t % 8 .. "&formatTiles=binary&cache=1767225600000"
        local headers = {authorization = "Bearer secret-of-token-" .. t, referer = "https://app.example.com/", ["user-agent"] = "wrk"}
        requests[t] = wrk.format("GET", url, headers)
    end
end
function request()
    at = (at + 389) % 1000
    return requests[at]
end
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("\nfound %.0f %d %.0f\n", summary.requests / summary.duration * 1e6, failed, latency:percentile(99)))
end
LUA

cat >"$folder/nginx.conf" <<NGINX
worker_processes 1;
error_log stderr error;
pid $folder/nginx.pid;
daemon off;
events {}
http {
    access_log off;
    keepalive_requests 1000000000;
    server { listen 127.0.0.1:18300; location / { return 200 "upstream"; } }
}
NGINX
start nginx -p "$folder" -e stderr -c "$folder/nginx.conf"
await 18300
start "$target/portcullis" serve --policy "$folder/policy.json" --listen 127.0.0.1:18310 --admin 127.0.0.1:18311
await 18310

declare -A port=([none]=18401 [module]=18402 [grpc]=18403 [http]=18404)
export ENVOY_DYNAMIC_MODULES_SEARCH_PATH=$target
for way in none module grpc http; do
    file=$way
    [[ $way != none ]] || file=module
    sed "s/port_value: 8080/port_value: ${port[$way]}/; s/port_value: 8181/port_value: 18310/; s/127.0.0.1:8181/127.0.0.1:18310/
        s/port_value: 9000/port_value: 18300/; s#/etc/portcullis/policy.json#$folder/policy.json#" "examples/gateways/envoy-$file.yaml" >"$folder/$way.yaml"
    # The filter that is left out ends where the router begins.
    [[ $way != none ]] || sed -i '/- name: portcullis/,/cors_origins/d' "$folder/$way.yaml"
    start envoy -c "$folder/$way.yaml" --concurrency 1 --use-dynamic-base-id -l error
    await "${port[$way]}"
done

# A denied request must not count as a fast one.
for way in module grpc http; do
    status=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:${port[$way]}/v3/maps/dw/table?name=acme.tables.t0_0")
    [[ $status == 401 ]] || { echo "$way: expected 401 without a token, found $status" >&2; exit 1; }
done

for way in none module grpc http; do
    wrk --threads 1 --connections 32 --duration 1 --script "$folder/ask.lua" "http://127.0.0.1:${port[$way]}" >/dev/null
done
for ((round = 0; round < rounds; round++)); do
    for way in $(printf '%s\n' none module grpc http | shuf); do
        read -r rate failed p99 < <(wrk --threads 1 --connections 32 --duration "$seconds" --script "$folder/ask.lua" "http://127.0.0.1:${port[$way]}" | awk '/^found/ { print $2, $3, $4 }')
        ((failed == 0)) || { echo "$way: $failed requests failed" >&2; exit 1; }
        echo "$round $way $rate $p99" >>"$folder/rates"
    done
done

awk '
    function median(list, count,    i, j, t) {
        for (i = 2; i <= count; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
    }
    { rate[$1, $2] = $3; p99[$1, $2] = $4; rounds = $1 + 1 }
    END {
        print "way       requests/s   of none   of grpc   added p99"
        split("none module grpc http", ways, " ")
        for (w = 1; w <= 4; w++) {
            for (r = 0; r < rounds; r++) {
                a[r + 1] = rate[r, ways[w]]
                b[r + 1] = rate[r, ways[w]] / rate[r, "none"]
                c[r + 1] = rate[r, ways[w]] / rate[r, "grpc"]
                d[r + 1] = (p99[r, ways[w]] - p99[r, "none"]) / 1000
            }
            printf "%-8s %11.0f %9.2f %9.2f %8.2f ms\n", ways[w], median(a, rounds), median(b, rounds), median(c, rounds), median(d, rounds)
        }
    }' "$folder/rates"
