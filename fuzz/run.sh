#!/usr/bin/env bash
# Builds every fuzz target and runs each for a few seconds: `fuzz/run.sh [seconds [target...]]`, 10 seconds if not said.
#
# Fails when a target does not build or a property does not hold; the input is then in `fuzz/artifacts`. Where nightly
# Rust or cargo-fuzz are missing it says so and succeeds: the inputs that are kept are tried by `cargo test` all the same.
# SANITIZER=address looks into the dependencies' unsafe code too, and is slower.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-10}"
[ $# -eq 0 ] || shift
sanitizer="${SANITIZER:-none}"

skip() {
    echo "fuzz: skipped: $*"
    exit 0
}

cargo +nightly --version >/dev/null 2>&1 || skip "no nightly Rust here (rustup toolchain install nightly)"
cargo +nightly fuzz --version >/dev/null 2>&1 || skip "no cargo-fuzz here (cargo install --locked cargo-fuzz)"
command -v c++ >/dev/null || command -v clang++ >/dev/null || skip "no C++ compiler here, which libFuzzer needs"

[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
cargo +nightly metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
cargo +nightly fuzz build --sanitizer "$sanitizer"

# libFuzzer takes a file of words to try; not every target has one.
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -verbosity=0)
    [ ! -f "fuzz/dictionaries/$target.dict" ] || options+=(-dict="fuzz/dictionaries/$target.dict")
    cargo +nightly fuzz run --sanitizer "$sanitizer" "$target" "fuzz/corpus/$target" "fuzz/regressions/$target" -- "${options[@]}"
done
echo "fuzz: no property broken by $*"
