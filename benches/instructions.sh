#!/usr/bin/env bash
# Counts the instructions of a decision with callgrind. The result does not depend on other load of the machine.
# Fails if the result is more than 5 % above the recorded one in benches/record/instructions.txt.
# With `--record`, writes the result there. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(cargo bench --locked -p portcullis --bench instructions --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*instructions[^"]*\)".*/\1/p' | tail -n 1)
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
requests=2000
one=$(count 1)
three=$(count 3)
found=$(((three - one) / (2 * requests)))
record=benches/record/instructions.txt
if [ "${1:-}" = --record ]; then
    mkdir -p "${record%/*}"
    echo "$found" >"$record"
fi
recorded=$(cat "$record")
echo "instructions for each decision, from a digest: $found (recorded: $recorded)"
if [ $((found * 100)) -gt $((recorded * 105)) ]; then
    echo "more than 5 % above the recorded result: find the cause, or record the new result with $0 --record" >&2
    exit 1
fi
