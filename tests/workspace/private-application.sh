#!/usr/bin/env bash
# `examples/private-application` in a real browser: tests/workspace/private-application.sh. A newcomer's steps: a client, a
# workspace, a sidecar, `npm ci`, and the page. Installs the packages of npm as the lock files have them.
set -euo pipefail
cd "$(dirname "$0")/../.."

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
PORTCULLIS=$(realpath "$PORTCULLIS") timeout 600 node tests/workspace/private_application.cjs
