#!/usr/bin/env bash
# Builds every fuzz target and runs each for a few seconds: `fuzz/run.sh [seconds [target...]]`. The default is 10 seconds.
#
# Fails if a target does not build or a property does not hold. The input is then in `fuzz/artifacts`. If nightly Rust,
# cargo-fuzz or a C++ compiler is missing, reports it and succeeds: `cargo test` runs the committed inputs anyway.
# SANITIZER=address also checks the unsafe code of dependencies, and is slower.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-10}"
[ $# -eq 0 ] || shift
sanitizer="${SANITIZER:-none}"

skip() {
    echo "fuzz: skipped: $*"
    exit 0
}

cargo +nightly --version >/dev/null 2>&1 || skip "nightly Rust is missing (rustup toolchain install nightly)"
cargo +nightly fuzz --version >/dev/null 2>&1 || skip "cargo-fuzz is missing (cargo install --locked cargo-fuzz)"
command -v c++ >/dev/null || command -v clang++ >/dev/null || skip "the C++ compiler that libFuzzer needs is missing"

if [ $# -eq 0 ]; then
    targets=$(cargo +nightly fuzz list)
    # shellcheck disable=SC2086
    set -- $targets
fi
[ $# -gt 0 ] || { echo "fuzz: no target found" >&2; exit 1; }
cargo +nightly metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
cargo +nightly fuzz build --sanitizer "$sanitizer"

# Some targets have a dictionary: words that libFuzzer inserts.
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -verbosity=0)
    [ ! -f "fuzz/dictionaries/$target.dict" ] || options+=(-dict="fuzz/dictionaries/$target.dict")
    cargo +nightly fuzz run --sanitizer "$sanitizer" "$target" "fuzz/corpus/$target" "fuzz/regressions/$target" -- "${options[@]}"
done
echo "fuzz: all properties hold: $*"
