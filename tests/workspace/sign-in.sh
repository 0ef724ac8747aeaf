#!/usr/bin/env bash
# Sign-in at an OpenID provider, in a real browser: tests/workspace/sign-in.sh. The provider is npm's `oidc-provider`.
# Installs what is missing: Chromium, nginx and Node.js from Debian, packages of npm as `npm/package-lock.json` has them.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v npm >/dev/null || missing+=(npm)
if ((${#missing[@]})); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
modules=${SIGN_IN_MODULES:-${CARGO_TARGET_DIR:-target}/sign-in-modules}
mkdir -p "$modules"
if ! cmp -s tests/workspace/npm/package-lock.json "$modules/installed.json"; then
    cp tests/workspace/npm/package.json tests/workspace/npm/package-lock.json "$modules"
    npm ci --silent --no-fund --no-audit --prefix "$modules"
    cp tests/workspace/npm/package-lock.json "$modules/installed.json"
fi
if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked --all-features --bin portcullis
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
NODE_PATH=$(realpath "$modules")/node_modules
export NODE_PATH
PORTCULLIS=$(realpath "$PORTCULLIS") timeout 600 node tests/workspace/sign_in.cjs "$@"
