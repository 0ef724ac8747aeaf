#!/usr/bin/env bash
# Measures a registry with a million tokens in PostgreSQL: pages, searches, and tokens that 16 clients create at once.
# Starts a private server in a temporary folder, as another user than root: `benches/registry.sh [TOKENS]`. The variable
# PROFILE chooses another profile of Cargo than `release`.
set -euo pipefail
cd "$(dirname "$0")/.."
tokens=${1:-1000000}
programs=${PORTCULLIS_TEST_POSTGRES:-$(dirname "$(find /usr/lib/postgresql -path '*/bin/initdb' | sort -V | tail -1)")}
folder=$(mktemp -d)
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown nobody "$folder"
    as() { setpriv --reuid=nobody --clear-groups "$@"; }
fi
trap 'as "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null || true; rm -rf "$folder"' EXIT
(cd "$folder" && as "$programs/initdb" -D data -U load --auth trust --encoding UTF8 --locale C.UTF-8 >/dev/null)
as "$programs/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-k $folder -c listen_addresses=" start >/dev/null
url="postgres://load@/postgres?host=$folder"
load=$(cargo build --workspace --all-features --locked --profile "${PROFILE:-release}" --example load --message-format=json |
    sed -n 's/.*"executable":"\([^"]*examples\/load[^"]*\)".*/\1/p' | tail -n 1)
"$load" "$url" >/dev/null
echo "filling the registry with $tokens tokens"
"$programs/psql" -q -h "$folder" -U load postgres <<SQL
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
