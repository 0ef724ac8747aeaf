#!/usr/bin/env bash
# Measures a registry with a million tokens, in PostgreSQL and in SQLite: imports, the first decision, pages, searches, and
# tokens that 16 clients create at once. Starts a private server in a temporary folder: `benches/registry.sh [TOKENS]`.
# The variable PROFILE chooses another profile of Cargo than `release`.
set -euo pipefail
cd "$(dirname "$0")/.."
tokens=${1:-1000000}
# shellcheck source=tests/private_postgres.sh
source tests/private_postgres.sh
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'stop_postgres; rm -rf "$folder"' EXIT
start_postgres "$folder/server"
url="postgres://test@/postgres?host=$postgres_folder"
load=$(cargo build --workspace --all-features --locked --profile "${PROFILE:-release}" --example load --message-format=json |
    sed -n 's/.*"executable":"\([^"]*examples\/load[^"]*\)".*/\1/p' | tail -n 1)
for registry in "$url" "sqlite:$folder/registry.db"; do
    echo "== ${registry%%:*}, $tokens tokens"
    "$load" "$registry" "$tokens"
done
