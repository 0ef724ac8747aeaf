#!/usr/bin/env bash
# Compares the tables that queries read with sqlglot's reading: tests/reads/run.sh [DIALECT…]. Needs the network, for
# the source distribution of sqlglot, whose tests are the queries. Not part of the checks before a merge.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=30.30.0
scratch=${READS_DIR:-${TMPDIR:-/tmp}/portcullis-reads}
source=$scratch/sqlglot-$version
if [[ ! -e $scratch/ready-$version ]]; then
    mkdir -p "$scratch"
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" --quiet download --no-deps --no-binary :all: --dest "$scratch" "sqlglot==$version"
    tar --extract --gzip --file "$scratch/sqlglot-$version.tar.gz" --directory "$scratch"
    "$scratch/venv/bin/pip" --quiet install "$source" pytz
    touch "$scratch/ready-$version"
fi
cargo build --locked --package portcullis-audit --example reads
"$scratch/venv/bin/python" tests/reads/compare.py "$source" "${CARGO_TARGET_DIR:-target}/debug/examples/reads" "$@"
