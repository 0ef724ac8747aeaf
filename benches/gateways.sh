#!/usr/bin/env bash
# Measures gateways with each way to ask for a decision: benches/gateways.sh [ROUNDS [SECONDS]]. The default is 31 rounds of
# 1 second.
#
# Each row is a gateway with one way, compared with the same gateway without a check and with the sidecar in the same round.
# All ways of a round run one after another, in another order each round, and each with new processes. The requests are
# those of load.sh: 1,000 tokens, all allowed. The gateway forwards them to an nginx that answers at once. With UPSTREAM=file,
# the gateway answers by itself, if it can: the cost of a check is then the largest share.
#
# Ways, selected by WAYS="nginx-none nginx-module …":
# - nginx-none: no check
# - nginx-module, nginx-lua: the engine inside
# - nginx-sidecar: `auth_request` to `portcullis serve`
# - nginx-njs: the script of nginx, which asks `portcullis serve`
# - nginx-constant: `auth_request` to a server of nginx that answers 204: what the hop costs without a decision
# - envoy-none, envoy-module: Envoy without a check, and with the engine inside
# - envoy-denials: the engine inside, without dynamic metadata of allowed requests
# - envoy-sidecar, envoy-http: `ext_authz` over gRPC and over HTTP to `portcullis serve`
# - haproxy-none: HAProxy without a check
# - haproxy-sidecar, haproxy-spoe: HAProxy with the Lua script and with SPOE to `portcullis serve`
# - caddy-none, caddy-sidecar, traefik-none, traefik-sidecar: Caddy and Traefik without a check, and with `portcullis serve`
#
# The processor time of the gateway and the sidecar is comparable on a busy machine too.
#
# Needs wrk (a Debian package), and what tests/gateways/run.sh installs. Run it on a machine that is idle.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-31}
seconds=${2:-1}
# The first of the ports from PORT to PORT + 91.
port=${PORT:-18200}
# Ways that cannot answer by themselves.
forwarding="nginx-njs caddy-none caddy-sidecar traefik-none traefik-sidecar"
[[ ${UPSTREAM:-proxy} != file ]] || forwarding=
ways=${WAYS:-nginx-none nginx-module nginx-lua nginx-sidecar nginx-constant envoy-none envoy-module envoy-denials envoy-sidecar envoy-http haproxy-none haproxy-sidecar haproxy-spoe $forwarding}
target=$(realpath "${CARGO_TARGET_DIR:-target}")
sidecar=$target/release/portcullis
# What runs inside a gateway is built as docs/gateways.md installs it.
inside=$target/dist
PATH=$PATH:/usr/sbin:$PWD/target/gateways/venv/bin
for program in wrk nginx make; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install wrk, and run tests/gateways/run.sh" >&2; exit 1; }
done
if [[ -z ${BUILT:-} ]]; then
    cargo build --release --locked -p portcullis-cli
    cargo rustc --profile dist --locked -p portcullis-capi --lib --crate-type cdylib,staticlib
    cargo rustc --profile dist --locked -p portcullis-envoy --lib --crate-type cdylib
fi
[[ $ways != *nginx-module* ]] || make --silent -C gateways/nginx BUILD="$inside/nginx-module" LIBRARY="$inside/libportcullis_c.a" >/dev/null

folder=$(mktemp -d)
chmod 755 "$folder"
started=()
end() {
    stop
    rm -r "$folder"
}
trap end EXIT

source benches/load-workload.sh

start() { "$@" >>"$folder/log" 2>&1 & started+=($!); }
free() { ! (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null || { echo "port $1 is in use" >&2; exit 1; }; }
await() { for _ in {1..200}; do (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; cat "$folder/log" >&2; exit 1; }
stop() {
    ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    started=()
}

# Starts an nginx on port $2 with the modules $3, the directives $4 of `http`, $5 of the location and $6 of the server.
nginx_with() {
    local location='proxy_set_header Connection ""; proxy_pass http://apis;'
    [[ ${UPSTREAM:-proxy} != file ]] || location='root '"$folder"'; try_files /answer =404;'
    echo '{"rows": []}' >"$folder/answer"
    cat >"$folder/$1.conf" <<CONF
$3
daemon off;
pid $folder/$1.pid;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    upstream apis { server 127.0.0.1:$((port + 90)); keepalive 64; keepalive_requests 1000000; }
    upstream sidecar { server 127.0.0.1:$((port + 81)); keepalive 64; keepalive_requests 1000000; }
    upstream constant { server 127.0.0.1:$((port + 91)); keepalive 64; keepalive_requests 1000000; }
    proxy_http_version 1.1;
    $4
    server { listen 127.0.0.1:$2; location / { $5 $location } $6 }
}
CONF
    free "$2"
    start nginx -p "$folder" -e "$folder/log" -c "$folder/$1.conf"
    await "$2"
}
# The servers that the gateways forward to, and that answers every check.
answers() {
    cat >"$folder/answers.conf" <<CONF
daemon off;
pid $folder/answers.pid;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:$((port + 90)); return 200 '{"rows": []}'; }
    server { listen 127.0.0.1:$((port + 91)); return 204; }
}
CONF
    free $((port + 90))
    start nginx -p "$folder" -e "$folder/log" -c "$folder/answers.conf"
    await $((port + 90))
}
auth_request() {
    cat <<CONF
location = /check {
    internal;
    proxy_pass http://$1/authz/nginx;
    proxy_pass_request_body off;
    proxy_set_header Connection "";
    proxy_set_header Content-Length "";
    proxy_set_header X-Original-Method \$request_method;
    proxy_set_header X-Original-URI \$request_uri;
}
CONF
}

# Starts a way on the port $port, and what it asks.
nginx-none() { nginx_with "$1" "$port" "" "" "" ""; }
nginx-module() {
    nginx_with "$1" "$port" "load_module $inside/nginx-module/ngx_http_portcullis_module.so;" \
        "portcullis_policy $folder/policy.json;" "portcullis on;" ""
}
nginx-lua() {
    local modules=/usr/lib/nginx/modules
    nginx_with "$1" "$port" "load_module $modules/ndk_http_module.so; load_module $modules/ngx_http_lua_module.so;" \
        "lua_package_path '$PWD/gateways/lua/lib/?.lua;;';
         init_by_lua_block { policy = assert(require('resty.portcullis').open { policy = '$folder/policy.json', library = '$inside/libportcullis_c.so' }) }
         init_worker_by_lua_block { policy:start() }" \
        "access_by_lua_block { policy:enforce() }" ""
}
nginx-sidecar() {
    sidecar
    nginx_with "$1" "$port" "" "" "auth_request /check;
        auth_request_set \$token_id \$upstream_http_x_portcullis_token_id;
        proxy_set_header X-Portcullis-Token-Id \$token_id;" "$(auth_request sidecar)"
}
nginx-constant() { nginx_with "$1" "$port" "" "" "auth_request /check;" "$(auth_request constant)"; }
nginx-njs() {
    forwards njs
    sidecar
    { echo "daemon off; pid $folder/njs.pid; $(addresses "$examples/nginx-njs.conf")"; } |
        sed "s#modules/#/usr/lib/nginx/&#; s#portcullis.js#$examples/&#; s/^http {/& access_log off; keepalive_requests 1000000;/" >"$folder/njs.conf"
    free "$port"
    start nginx -p "$folder" -e "$folder/log" -c "$folder/njs.conf"
    await "$port"
}
examples=$PWD/examples/gateways
# Prints the configuration $1 with the addresses of this run.
addresses() {
    sed "s/127.0.0.1:8080/127.0.0.1:$port/; s/127.0.0.1:8181/127.0.0.1:$((port + 81))/; s/127.0.0.1:8184/127.0.0.1:$((port + 83))/
        s/127.0.0.1:9000/127.0.0.1:$((port + 90))/" "$1"
}
# Fails for a way that always forwards.
forwards() { [[ ${UPSTREAM:-proxy} != file ]] || { echo "$1 cannot answer by itself: unset UPSTREAM" >&2; return 1; }; }
# Starts an Envoy with one worker and the example $1. With UPSTREAM=file, it answers by itself.
envoy_with() {
    sed "s/port_value: 8080/port_value: $port/; s/port_value: 8181/port_value: $((port + 81))/; s/127.0.0.1:8181/127.0.0.1:$((port + 81))/
        s/port_value: 9000/port_value: $((port + 90))/; s#/etc/portcullis/policy.json#$folder/policy.json#" "$examples/$1.yaml" >"$folder/envoy.yaml"
    [[ ${UPSTREAM:-proxy} != file ]] || sed -i 's/route: {cluster: apis}/direct_response: {status: 200}/' "$folder/envoy.yaml"
    # The filter of the module, from its name to its last option.
    [[ ${2:-} != unchecked ]] || sed -i '/- name: portcullis/,/cors_origins/d' "$folder/envoy.yaml"
    [[ ${2:-} != denials ]] || sed -i 's/^\( *\)cors_origins:/\1metadata: denials\n&/' "$folder/envoy.yaml"
    free "$port"
    ENVOY_DYNAMIC_MODULES_SEARCH_PATH=$inside start envoy -c "$folder/envoy.yaml" --concurrency 1 --use-dynamic-base-id -l error
    await "$port"
}
sidecar() {
    free $((port + 81))
    start "$sidecar" serve --policy "$folder/policy.json" --listen 127.0.0.1:$((port + 81)) --admin 127.0.0.1:$((port + 82)) --spoe 127.0.0.1:$((port + 83))
    await $((port + 81))
}
envoy-none() { envoy_with envoy-module unchecked; }
envoy-module() { envoy_with envoy-module; }
envoy-denials() { envoy_with envoy-module denials; }
envoy-sidecar() { sidecar && envoy_with envoy-grpc; }
envoy-http() { sidecar && envoy_with envoy-http; }

# Starts a HAProxy with one thread and the example $1, in which $2 is changed. With UPSTREAM=file, it answers by itself.
haproxy_with() {
    addresses "$examples/$1.cfg" | sed "s#/etc/haproxy/#$examples/#; s/^    daemon/    nbthread 1/
        /^    \(log\|chroot\|stats\|user\|group\) /d; ${2:-}" >"$folder/haproxy.cfg"
    [[ ${UPSTREAM:-proxy} != file ]] || sed -i 's/^    default_backend apis/    http-request return status 200/' "$folder/haproxy.cfg"
    free "$port"
    start haproxy -db -f "$folder/haproxy.cfg"
    await "$port"
}
haproxy-none() { haproxy_with haproxy '/lua/d'; }
haproxy-sidecar() { sidecar && haproxy_with haproxy; }
haproxy-spoe() { sidecar && haproxy_with haproxy-spoe; }

# Starts a Caddy with one thread for Go and the example, in which $1 is changed.
caddy_with() {
    forwards caddy
    addresses "$examples/Caddyfile" | sed "s/127.0.0.1:2019/off/; $1" >"$folder/Caddyfile"
    free "$port"
    GOMAXPROCS=1 HOME=$folder start caddy run --adapter caddyfile --config "$folder/Caddyfile"
    await "$port"
}
caddy-none() { caddy_with '/^\t\tforward_auth/,/^\t\t}/d'; }
caddy-sidecar() { sidecar && caddy_with ''; }

# Starts a Traefik with one thread for Go and the example, in which $1 of the routes is changed.
traefik_with() {
    forwards traefik
    addresses "$examples/traefik-routes.yaml" | sed "$1" >"$folder/traefik-routes.yaml"
    addresses "$examples/traefik.yaml" | sed "s#/etc/traefik#$folder#" >"$folder/traefik.yaml"
    free "$port"
    GOMAXPROCS=1 start traefik --configFile="$folder/traefik.yaml"
    await "$port"
    # It listens before it has its routes.
    for _ in {1..200}; do [[ $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/") == 404 ]] || return 0; sleep 0.05; done
    return 1
}
traefik-none() { traefik_with 's/\[headers, portcullis\]/[headers]/'; }
traefik-sidecar() { sidecar && traefik_with ''; }

# Prints the processor time of the gateway, of its workers and of the sidecar, in ticks. The upstream does not count.
ticks() {
    local first=1 pids=()
    [[ ${UPSTREAM:-proxy} == file && $1 != *-constant ]] && first=0
    for pid in "${started[@]:first}"; do
        pids+=("/proc/$pid/stat")
        for child in $(pgrep -P "$pid"); do pids+=("/proc/$child/stat"); done
    done
    cat "${pids[@]}" | awk '{ sub(/.*\) /, ""); sum += $12 + $13 } END { print sum }'
}

# Sets `measured`: the way, the requests a second, and the p99 latency and the processor time of a request in microseconds.
measure() {
    local rate count failed latency before
    stop
    [[ ${UPSTREAM:-proxy} == file && $1 != *-constant ]] || answers
    "$1" "$1"
    load() { wrk --threads 1 --connections 32 --latency --duration "$1" --script "$folder/ask.lua" http://127.0.0.1:$port -- gateway; }
    load 1s >/dev/null
    before=$(ticks "$1")
    read -r rate count failed latency < <(load "${seconds}s" | awk '/^found/ { print $2, $3, $4, $5 }')
    ((failed == 0 && count > 0)) || { echo "$1: $failed of $count requests failed" >&2; cat "$folder/log" >&2; return 1; }
    measured="$1 $rate $latency $(awk -v ticks=$(($(ticks "$1") - before)) -v count="$count" -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%.2f", ticks * 1e6 / hertz / count }')"
}

# The client finds no denial unless the check really runs: each way must deny a source that is not granted.
denies() {
    local status
    stop
    answers
    "$1" "$1"
    status=$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer secret-of-token-1' -H 'Referer: https://app.example.com/' \
        "http://127.0.0.1:$port/v3/maps/dw/table?name=acme.secret")
    [[ $1 == *-none || $1 == *-constant ]] || ((status == 403)) || { echo "$1 answers $status to a denied request" >&2; return 1; }
}

for way in $ways; do denies "$way"; done
for ((round = 0; round < rounds; round++)); do
    # Every second round in the opposite order.
    order=$ways
    ((round % 2 == 0)) || order=$(tr ' ' '\n' <<<"$ways" | tac)
    for way in $order; do
        measure "$way"
        echo "$round $measured" >>"$folder/measured"
    done
done

printf '%s rounds of %s s each, %s processors, upstream: %s, %s\n' "$rounds" "$seconds" "$(nproc)" "${UPSTREAM:-proxy}" "$(date +%F)"
printf '| way | requests/s | of no check: median | 95 %% interval | of the sidecar: median | p99, us | more than no check, us | processor time, us a request | no check, of this |\n'
printf '| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n'
for way in $ways; do
    awk -v way="$way" '
        function sort(list, n,   i, j, x) { for (i = 2; i <= n; i++) { x = list[i]; for (j = i - 1; j > 0 && list[j] > x; j--) list[j + 1] = list[j]; list[j + 1] = x } }
        { rate[$1, $2] = $3; latency[$1, $2] = $4; time[$1, $2] = $5; if ($1 + 1 > rounds) rounds = $1 + 1 }
        END {
            gateway = way; sub(/-.*/, "", gateway); none = gateway "-none"; sidecar = gateway "-sidecar"
            for (i = 0; i < rounds; i++) {
                if (!((i, way) in rate)) exit 1
                own[++n] = rate[i, way]; p99[n] = latency[i, way]
                ratio[n] = (i, none) in rate ? rate[i, way] / rate[i, none] : 0
                more[n] = (i, none) in rate ? latency[i, way] - latency[i, none] : 0
                cost[n] = time[i, way]
                share[n] = (i, none) in rate ? time[i, none] / time[i, way] : 0
                faster[n] = (i, sidecar) in rate ? rate[i, way] / rate[i, sidecar] : 0
            }
            sort(own, n); sort(ratio, n); sort(p99, n); sort(more, n); sort(faster, n); sort(cost, n); sort(share, n); middle = int((n + 1) / 2)
            # The 95 % interval of the median: its bounds are the ratios of these ranks.
            away = 0.98 * sqrt(n); low = int((n + 1) / 2 - away); high = int((n + 1) / 2 + away + 0.999)
            if (low < 1) low = 1
            if (high > n) high = n
            printf "| %s | %d | **%.3f** | %.3f and %.3f | %.2f | %d | %d | %.1f | %.3f |\n", way, own[middle], ratio[middle], ratio[low], ratio[high], faster[middle], p99[middle], more[middle], cost[middle], share[middle]
        }' "$folder/measured"
done
