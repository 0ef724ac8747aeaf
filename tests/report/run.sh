#!/usr/bin/env bash
# The HTML report in a real browser: tests/report/run.sh [SCREENSHOT]. Installs what is missing; no network.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v chromium >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
if [[ -z ${PORTCULLIS:-} ]]; then
    cargo build --locked -p portcullis-cli --bin portcullis
    PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
fi
timeout 240 python3 tests/report/drive.py "$(realpath "$PORTCULLIS")" "$@"
