#!/usr/bin/env bash
# Single-page applications of other projects against the workspace, in a real browser: tests/workspace/spa.sh. Installs what is
# missing: Chromium and Node.js from Debian, auth0-spa-js, oauth4webapi and playwright-core from npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v npm >/dev/null || missing+=(npm)
if ((${#missing[@]})); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
modules=${SPA_MODULES:-${CARGO_TARGET_DIR:-target}/spa-modules}
mkdir -p "$modules"
if ! cmp -s tests/workspace/clients/package-lock.json "$modules/package-lock.json" || [[ ! -d $modules/node_modules ]]; then
    cp tests/workspace/clients/package.json tests/workspace/clients/package-lock.json "$modules"
    npm ci --silent --no-fund --no-audit --ignore-scripts --prefix "$modules"
fi
if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked --all-features --bin portcullis
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
NODE_PATH=$(realpath "$modules")/node_modules
export NODE_PATH
PORTCULLIS=$(realpath "$PORTCULLIS") timeout 600 node tests/workspace/spa.cjs "$@"
