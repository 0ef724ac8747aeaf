#!/usr/bin/env bash
# Measures a registry with a million tokens in PostgreSQL: pages, searches, and tokens that 16 clients create at once.
# Starts a private server in a temporary folder, as another user than root: `benches/registry.sh [TOKENS]`. The variable
# PROFILE chooses another profile of Cargo than `release`.
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
"$load" "$url" >/dev/null
echo "filling the registry with $tokens tokens"
"$postgres_programs/psql" -q -h "$postgres_folder" -U test postgres <<SQL
SET search_path TO portcullis;
SET synchronous_commit TO off;
INSERT INTO tokens (id, owner, name, sha256, allowed_apis, referers, created_at, searched)
SELECT 'tk_' || lpad(n::text, 10, '0'), 'user ' || n % 1000, 'token ' || n, sha256(n::text::bytea), '["maps"]', '[]',
    to_char(timestamp '2026-01-01' + n * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    concat_ws(E'\n', 'tk_' || lpad(n::text, 10, '0'), 'token ' || n, 'user ' || n % 1000, 'maps', 'dw',
        'analytics.tables.t' || n % 10000)
FROM generate_series(1, $tokens) AS n;
INSERT INTO grants (token, position, connection, type, source)
SELECT 'tk_' || lpad(n::text, 10, '0'), 0, 'dw', 'resource', 'analytics.tables.t' || n % 10000
FROM generate_series(1, $tokens) AS n;
VACUUM ANALYZE;
SQL
"$load" "$url"
