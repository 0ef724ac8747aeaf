#!/usr/bin/env bash
# Counts instructions with callgrind: of a decision from a digest, of a decision about a granted query of 8 KiB, of reading
# an HTTP request, of answering an HTTP request through the C API, and of reading and compiling one token of a document. The
# result does not depend on other load of the machine. An answer and a document include SHA-256, which callgrind runs without
# the instructions that processors have for it.
# Fails if a result is more than 5 % above the recorded one in benches/record/instructions.txt.
# With `--record`, writes the results there. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
# The results depend on how the program is built: incremental builds and other flags inline other functions.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
built=$(CARGO_INCREMENTAL=0 cargo bench --locked -p portcullis-benches -p portcullis-capi-benches --bench instructions --bench answers \
    --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
# Prints the path of a benchmark.
path() { grep "/$1-[0-9a-f]*$" <<<"$built"; }
instructions=$(path instructions)
answers=$(path answers)
# Counts only inside the function: the program prepares its data with hash tables that have random seeds.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="*counted_$2*" "$1" "${@:3}" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
decision=$(($(count "$instructions" decisions) / 2000))
query=$(($(count "$instructions" decisions query) + 0))
reading=$(($(count "$instructions" readings) / 1000))
loading=$(($(count "$instructions" loading) / 1000))
compilation=$(($(count "$instructions" compilation) / 1000))
answer=$(($(count "$answers" answers) / 1000))
record=benches/record/instructions.txt
results=(decision query reading loading compilation answer)
for name in "${results[@]}"; do
    if [ "${!name}" -eq 0 ]; then
        echo "nothing was counted: callgrind found no function counted_… for $name" >&2
        exit 1
    fi
done
if [ "${1:-}" = --record ]; then
    mkdir -p "${record%/*}"
    for name in "${results[@]}"; do echo "$name ${!name}"; done >"$record"
fi
check() {
    local recorded
    recorded=$(sed -n "s/^$1 //p" "$record")
    echo "instructions, $1: $2 (recorded: $recorded)"
    if [ $(($2 * 100)) -gt $((recorded * 105)) ]; then
        echo "more than 5 % above the recorded result: find the cause, or record the new result with $0 --record" >&2
        exit 1
    fi
}
for name in "${results[@]}"; do check "$name" "${!name}"; done
