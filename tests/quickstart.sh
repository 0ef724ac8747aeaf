#!/usr/bin/env bash
# Runs the first command of the README in this checkout, and then the commands of the tour.
set -euo pipefail
cd "$(dirname "$0")/.."
command=$(awk '/^```sh$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md)
printf '%s\n' "$command"
answer=$(bash -c "$command")
printf '%s\n' "$answer"
grep -q '^allow, token `store-map`' <<<"$answer"
portcullis() { cargo run --quiet -p portcullis-cli --no-default-features -- "$@"; }
portcullis validate examples/policy.json
portcullis check --policy examples/policy.json --requests examples/requests.jsonl
portcullis inspect --policy examples/policy.json
