#!/usr/bin/env bash
# Sign-in at an OpenID provider, in a real browser: tests/workspace/sign-in.sh. The provider is npm's `oidc-provider`.
# Installs what is missing: Chromium, nginx and Node.js from Debian, packages of npm as `npm/package-lock.json` has them.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/workspace/browser.sh
source tests/workspace/browser.sh
need_programs chromium=chromium nginx=nginx-light npm=npm
need_modules tests/workspace/npm
need_command
timeout 600 node tests/workspace/sign_in.cjs "$@"
