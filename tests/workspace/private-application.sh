#!/usr/bin/env bash
# `examples/private-application` in a real browser: tests/workspace/private-application.sh. A newcomer's steps: a client, a
# workspace, a sidecar, `npm ci`, and the page. Installs the packages of npm as the lock files have them.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/workspace/browser.sh
source tests/workspace/browser.sh
need_programs chromium=chromium npm=npm
need_modules tests/workspace/npm
need_command
timeout 600 node tests/workspace/private_application.cjs
