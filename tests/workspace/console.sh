#!/usr/bin/env bash
# The console in a real browser: tests/workspace/console.sh [FOLDER]. With a folder, also takes screenshots into it. Runs on a
# SQLite file and on a private PostgreSQL server; `STORES="sqlite"` leaves the server out.
# Installs what is missing: Chromium, nginx and Node.js from Debian, playwright-core and axe-core from npm.
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
modules=${CONSOLE_MODULES:-${CARGO_TARGET_DIR:-target}/console-modules}
mkdir -p "$modules"
if [[ ! -d $modules/node_modules/axe-core || ! -d $modules/node_modules/playwright-core ]]; then
    npm install --silent --no-fund --no-audit --prefix "$modules" playwright-core@1.65.1 axe-core@4.14.1
fi
if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked --all-features --bin portcullis
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
NODE_PATH=$(realpath "$modules")/node_modules
export NODE_PATH
PORTCULLIS=$(realpath "$PORTCULLIS")
export PORTCULLIS
# shellcheck source=tests/private_postgres.sh
source tests/private_postgres.sh
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'stop_postgres; rm -rf "$folder"' EXIT
for store in ${STORES:-sqlite postgres}; do
    echo "== $store"
    if [[ $store == sqlite ]]; then
        timeout 900 node tests/workspace/console.cjs "$@"
    else
        start_postgres "$folder/server"
        export CONSOLE_POSTGRES=$postgres_folder CONSOLE_POSTGRES_PROGRAMS=$postgres_programs
        # Screenshots do not depend on the store.
        timeout 900 node tests/workspace/console.cjs "" "${2:-}"
    fi
done
