#!/usr/bin/env bash
# The console in a real browser: tests/workspace/console.sh [FOLDER]. With a folder, also takes screenshots into it: with
# `docs/console`, those of the documentation. Runs on a
# SQLite file and on a private PostgreSQL server; `STORES="sqlite"` leaves the server out.
# Installs what is missing: Chromium, nginx and Node.js from Debian, playwright-core and axe-core from npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/workspace/browser.sh
source tests/workspace/browser.sh
need_programs chromium=chromium nginx=nginx-light npm=npm
need_modules tests/workspace/npm
need_command
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
