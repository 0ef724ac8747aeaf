#!/usr/bin/env bash
# The README's first command, word for word, in this checkout; then the tour's.
set -euo pipefail
cd "$(dirname "$0")/.."
command=$(awk '/^```sh$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md)
printf '%s\n' "$command"
bash -c "$command" | tee /dev/stderr | grep -q '^allow, token `store-map`, grant 0$'
portcullis() { cargo run --quiet --release -- "$@"; }
portcullis validate examples/policy.json
portcullis check --policy examples/policy.json --requests examples/requests.jsonl | grep -c '"decision":"allow"'
portcullis inspect --policy examples/policy.json | head -n 6
