#!/usr/bin/env bash
# Single-page applications of other projects against the workspace, in a real browser: tests/workspace/spa.sh. Installs what is
# missing: Chromium and Node.js from Debian, auth0-spa-js, oauth4webapi and playwright-core from npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/workspace/browser.sh
source tests/workspace/browser.sh
need_programs chromium=chromium npm=npm
need_modules tests/workspace/clients
need_command
timeout 600 node tests/workspace/spa.cjs "$@"
