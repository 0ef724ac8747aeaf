#!/usr/bin/env bash
# Measures a registry with a million tokens, in PostgreSQL and in SQLite: imports, the first decision, pages, searches, and
# tokens that 16 clients create at once, in the registry and over HTTP. Measures the source picker over HTTP, with as many names
# in the catalog. Starts a private server in a temporary folder: `benches/registry.sh [TOKENS]`.
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
# Builds everything, and prints the path of a program.
program() {
    cargo build --workspace --all-features --locked --profile "${PROFILE:-release}" "$@" --message-format=json |
        sed -n "s/.*\"executable\":\"\([^\"]*\/${*: -1}\)\".*/\1/p" | tail -n 1
}
load=$(program --example load)
portcullis=$(program --bin portcullis)
address=127.0.0.1:18183
"$load" catalog "$tokens" >"$folder/catalog.csv"
for registry in "$url" "sqlite:$folder/registry.db"; do
    echo "== ${registry%%:*}, $tokens tokens"
    "$load" "$registry" "$tokens"
    "$portcullis" workspace --db "$registry" --listen "$address" --max-rate 1000000 \
        --catalog "$folder/catalog.csv" --messages json >"$folder/page" 2>"$folder/log" &
    workspace=$!
    trap 'kill "$workspace" 2>/dev/null || true; stop_postgres; rm -rf "$folder"' EXIT
    for _ in {1..300}; do curl -sf "http://$address/healthz" >/dev/null && break; sleep 0.1; done
    machine=$("$portcullis" credentials create m2m --db "$registry" --title load --format json)
    ACCESS_TOKEN=$(curl -sSf "http://$address/oauth/token" -d grant_type=client_credentials \
        -d "client_id=$(jq -r .client_id <<<"$machine")" -d "client_secret=$(jq -r .client_secret <<<"$machine")" |
        jq -r .access_token) "$load" http "$address"
    link=$(sed -n 's/^login link *//p' "$folder/page")
    curl -sSf -o /dev/null -c "$folder/cookies" "$link"
    SESSION=$(awk '$6 == "portcullis" { print $7 }' "$folder/cookies") "$load" picker "$address"
    kill "$workspace"
    wait "$workspace" || true
done
