#!/usr/bin/env bash
# Measures the cost of a policy in a server: benches/load.sh [ROUNDS [SECONDS]]. The default is 61 rounds of 1 second.
#
# Compares the requests a second of `portcullis serve` with a policy of patterns and referers, and with a policy that allows
# everything. The two servers take turns. Also reports the server's processor time for each request, which is comparable on
# a busy machine too.
#
# There are five ways, all on the loopback interface:
# - same: two servers that both allow everything, which shows the noise of this machine
# - native: native HTTP, with wrk as the client
# - oha: native HTTP, with oha as the client
# - nginx: the endpoint for nginx
# - envoy: gRPC through a real Envoy, which answers allowed requests itself
#
# Needs curl and wrk (Debian packages), oha (`cargo install oha`), and Envoy (tests/gateways/run.sh installs it).
# `WAYS="same native nginx"` selects ways, and needs only their programs.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-61}
seconds=${2:-1}
ways=${WAYS:-same native oha nginx envoy}
target=${CARGO_TARGET_DIR:-target}/release
PATH=$PWD/target/gateways/venv/bin:$PATH
command -v curl >/dev/null && command -v wrk >/dev/null || { echo "missing: apt-get install curl wrk" >&2; exit 1; }
[[ $ways != *oha* ]] || command -v oha >/dev/null || { echo "oha is missing: cargo install oha" >&2; exit 1; }
[[ $ways != *envoy* ]] || command -v envoy >/dev/null || { echo "envoy is missing: run tests/gateways/run.sh first" >&2; exit 1; }
if [[ -z ${BUILT:-} ]]; then
    cargo build --release --locked -p portcullis-cli
fi

folder=$(mktemp -d)
started=()
end() {
    stop
    rm -r "$folder"
}
trap end EXIT

source benches/load-workload.sh

# The bodies for oha, one in each line, in the order of wrk.
awk 'BEGIN {
    for (i = 1; i <= 1000; i++) {
        t = i * 389 % 1000
        printf "{\"token\": \"secret-of-token-%d\", \"api\": \"maps\", \"connection\": \"dw\", \"resource\": \"acme.tables.t%d_%d\", \"referer\": \"https://app.example.com/\"}\n", t, t, t % 8
    }
}' >"$folder/bodies"

start() { "$@" >>"$folder/log" 2>&1 & started+=($!); }
await() { for _ in {1..200}; do (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; cat "$folder/log" >&2; exit 1; }

# The addresses and pages of a process make it faster or slower by 5 % for as long as it runs. So each round starts new
# servers, and new Envoys.
serve() {
    local own=$folder/policy.json
    [[ $1 != same ]] || own=$folder/all.json
    start "$target/portcullis" serve --policy "$own" --listen 127.0.0.1:18181 --admin 127.0.0.1:18182
    start "$target/portcullis" serve --policy "$folder/all.json" --listen 127.0.0.1:18191 --admin 127.0.0.1:18192
    await 18181
    await 18191
}
stop() {
    ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    started=()
}
# Starts one Envoy for each server.
between() {
    for which in 8 9; do
        sed "s/port_value: 8080/port_value: 1808$which/; s/port_value: 8181/port_value: 181${which}1/; s/route: {cluster: apis}/direct_response: {status: 200}/" \
            examples/gateways/envoy-grpc.yaml >"$folder/envoy-$which.yaml"
        start envoy -c "$folder/envoy-$which.yaml" --concurrency 1 --use-dynamic-base-id -l error
        await "1808$which"
    done
}

# Prints the processor time of a process, in ticks.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# Prints the requests a second, the number of requests, and the number of failed requests.
found() {
    if [[ $1 == oha ]]; then
        oha -z "$3" -w -c 32 -m POST -T application/json -Z "$folder/bodies" --no-tui --output-format json "http://127.0.0.1:$2/v1/decide" | awk -F '[:,]' '
            /"requestsPerSec"/ { found = $2 }
            /^  "/ { codes = /statusCodeDistribution/; errors = /errorDistribution/ }
            codes && /^    "/ { count += $2; if (!/"200"/) failed += $2 }
            errors && /^    "/ { failed++ }
            END { printf "%.0f %d %d\n", found, count, failed }'
    else
        wrk --threads 1 --connections 32 --duration "$3" --script "$folder/ask.lua" "http://127.0.0.1:$2" -- "$1" | awk '/^found/ { print $2, $3, $4 }'
    fi
}

# Prints the requests a second of one run, and the server's processor time for each request in microseconds.
run() {
    local before after found count failed
    before=$(ticks "$4")
    read -r found count failed < <(found "$1" "$2" "$3")
    after=$(ticks "$4")
    ((failed == 0)) || { echo "$1: $failed requests failed" >&2; return 1; }
    awk -v found="$found" -v ticks=$((after - before)) -v count="$count" -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%d %.3f\n", found, ticks * 1e6 / hertz / count }'
}

# Fails if any request was denied: native HTTP answers a denial with status 200, so the clients do not notice it.
all_allowed() {
    curl -s http://127.0.0.1:18182/metrics http://127.0.0.1:18192/metrics | awk '
        /^portcullis_decisions_total.*"allow"/ { allowed += $2 }
        /^portcullis_decisions_total.*"deny"/ { denied += $2 }
        END { if (!allowed || denied) { printf "%d allowed, %d denied\n", allowed, denied | "cat >&2"; exit 1 } }'
}

printf '%s rounds of %s s each, %s processors\n' "$rounds" "$seconds" "$(nproc)"
printf '| way | portcullis, requests/s | allows everything | ratio: median | 95 %% interval | quartiles | processor time, us a request | allows everything | difference |\n'
printf '| --- | ---: | ---: | ---: | --- | --- | ---: | ---: | ---: |\n'
for way in $ways; do
    ports=(18181 18191)
    [[ $way != envoy ]] || ports=(18088 18089)
    own() { run "$way" "${ports[0]}" "$1" "${started[0]}"; }
    other() { run "$way" "${ports[1]}" "$1" "${started[1]}"; }
    for ((round = 0; round < rounds; round++)); do
        stop
        serve "$way"
        [[ $way != envoy ]] || between
        { own 1s; other 1s; } >/dev/null
        if ((round % 2)); then
            second=$(other "${seconds}s"); first=$(own "${seconds}s")
        else
            first=$(own "${seconds}s"); second=$(other "${seconds}s")
        fi
        echo "$first $second"
        all_allowed
    done >"$folder/rounds"
    awk -v way="$way" '
        function sorted(list, n,   i, j, x) { for (i = 2; i <= n; i++) { x = list[i]; for (j = i - 1; j > 0 && list[j] > x; j--) list[j + 1] = list[j]; list[j + 1] = x } }
        { own[NR] = $1; time[NR] = $2; other[NR] = $3; floor[NR] = $4; ratio[NR] = $1 / $3; more[NR] = $2 - $4 }
        END {
            if (!NR) exit 1
            sorted(own, NR); sorted(other, NR); sorted(ratio, NR); sorted(time, NR); sorted(floor, NR); sorted(more, NR); middle = int((NR + 1) / 2)
            # The 95 % interval of the median: its bounds are the ratios of these ranks.
            away = 0.98 * sqrt(NR); low = int((NR + 1) / 2 - away); high = int((NR + 1) / 2 + away + 0.999)
            if (low < 1) low = 1
            if (high > NR) high = NR
            printf "| %s | %d | %d | **%.3f** | %.3f and %.3f | %.3f, %.3f | %.1f | %.1f | %.1f |\n", way, own[middle], other[middle], ratio[middle], ratio[low], ratio[high], ratio[int((NR + 3) / 4)], ratio[int((3 * NR + 1) / 4)], time[middle], floor[middle], more[middle]
        }' "$folder/rounds"
done
