#!/usr/bin/env bash
# Counts the instructions of a decision from a digest, and of reading an HTTP request, with callgrind. The result does
# not depend on other load of the machine.
# Fails if a result is more than 5 % above the recorded one in benches/record/instructions.txt.
# With `--record`, writes the results there. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
# The results depend on how the program is built: incremental builds and other flags inline other functions.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
binary=$(CARGO_INCREMENTAL=0 cargo bench --locked -p portcullis --bench instructions --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*instructions[^"]*\)".*/\1/p' | tail -n 1)
# Counts only inside the function: the program prepares its data with hash tables that have random seeds.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="*counted_$1*" "$binary" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
decision=$(($(count decisions) / 2000))
reading=$(($(count readings) / 1000))
record=benches/record/instructions.txt
if [ "${1:-}" = --record ]; then
    mkdir -p "${record%/*}"
    printf 'decision %s\nreading %s\n' "$decision" "$reading" >"$record"
fi
check() {
    local recorded
    recorded=$(sed -n "s/^$1 //p" "$record")
    echo "instructions of a $1: $2 (recorded: $recorded)"
    if [ $(($2 * 100)) -gt $((recorded * 105)) ]; then
        echo "more than 5 % above the recorded result: find the cause, or record the new result with $0 --record" >&2
        exit 1
    fi
}
check decision "$decision"
check reading "$reading"
