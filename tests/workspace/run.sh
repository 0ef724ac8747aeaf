#!/usr/bin/env bash
# The workspace as its clients see it: tests/workspace/run.sh. Checks the HTTP API against its OpenAPI document with
# schemathesis (PyPI), and drives machines from their creation to their end with curl and Authlib (PyPI), with a sidecar beside
# them. Does so on a SQLite file, and on a private PostgreSQL server; `STORES="sqlite"` leaves the server out.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/workspace
examples=$PWD/examples/machine-client
# shellcheck source=tests/private_postgres.sh
source tests/private_postgres.sh
# shellcheck source=tests/workspace/browser.sh
source tests/workspace/browser.sh

need_programs curl=curl jq=jq
need_command
venv=${WORKSPACE_VENV:-target/workspace-venv}
if [[ ! -x $venv/bin/schemathesis || ! -d $(echo "$venv"/lib/python3*/site-packages/authlib) ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'schemathesis==4.32.5' 'authlib==1.9.10' requests
fi
schemathesis=$(realpath "$venv/bin/schemathesis")
python=$(realpath -s "$venv/bin/python")

folder=$(mktemp -d)
chmod 755 "$folder"
processes=()
end_processes() {
    for process in "${processes[@]}"; do kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
    processes=()
}
stop() {
    end_processes
    stop_postgres
    rm -rf "$folder"
}
trap stop EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# Prints the value of a field of a server's message `serving`.
address() {
    for _ in {1..100}; do
        found=$(jq -r --arg field "$2" 'select(.fields.message == "serving") | .fields[$field]' "$1" 2>/dev/null || true)
        [[ -n $found ]] && { echo "$found"; return; }
        sleep 0.1
    done
    fail "$1: $(cat "$1")"
}

# Waits until the sidecar decides as expected for the secret $1, and prints how long that took.
decides() {
    local begun now allow
    begun=$(date +%s%N)
    for _ in {1..1000}; do
        allow=$(curl -sS "http://$sidecar/v1/decide" -H 'content-type: application/json' -d "$(jq -nc --arg token "$1" \
            '{token: $token, api: "maps", connection: "carto_dw", resource: "carto.shared.roads"}')" | jq -r '.decision')
        now=$(date +%s%N)
        [[ $allow == "$2" ]] && { echo "  $3 after $(((now - begun) / 1000000)) ms"; return; }
    done
    fail "$3: the sidecar still answers $allow"
}
call() { curl -sS "$@" -H "authorization: Bearer $access" -H 'content-type: application/json'; }

# Prints the content of the store $1.
content() {
    if [[ $1 == sqlite ]]; then
        cat registry.db*
    else
        # Columns of bytes are hexadecimal in a dump, which another test searches as files.
        "$postgres_programs/pg_dump" -h "$postgres_folder" -U test --schema portcullis --data-only postgres
    fi
}

# Runs every check on an empty registry in the store $1.
check() {
    local store=$1 client etag path token url access
    echo "== $store"
    "$PORTCULLIS" connections add carto_dw --dialect bigquery --user ana >/dev/null
    "$PORTCULLIS" workspace --user ana --listen 127.0.0.1:0 --max-rate 100000 --messages json >page.txt 2>workspace.log &
    processes+=($!)
    url=$(address workspace.log url)
    "$PORTCULLIS" serve --db "$PORTCULLIS_DB" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --messages json 2>sidecar.log &
    processes+=($!)
    sidecar=$(address sidecar.log listen)

    echo "a machine mints tokens, and the sidecar obeys"
    "$PORTCULLIS" credentials create m2m --user ana --title Deploy --apis maps --grant 'carto_dw,carto.shared.*' --format json >machine.json
    client=(--data-urlencode "client_id=$(jq -r .client_id machine.json)" --data-urlencode "client_secret=$(jq -r .client_secret machine.json)")
    access=$(curl -sSf "$url/oauth/token" -d grant_type=client_credentials "${client[@]}" | jq -r .access_token)
    decides "$access" allow "an access token decides"
    call "$url/v3/tokens" -d '{"name": "web", "allowed_apis": ["maps"], "grants": [{"connection_name": "carto_dw", "source": "carto.shared.roads"}]}' -D headers.txt >token.json
    token=$(jq -r .token token.json)
    decides "$token" allow "a created token decides"
    path="$url/v3/tokens/$(jq -r .id token.json)"
    etag=$(grep -i '^etag:' headers.txt | cut -d' ' -f2 | tr -d '\r')
    call -X PATCH "$path" -H "if-match: $etag" -d '{"grants": [{"connection_name": "carto_dw", "source": "carto.private.roads"}]}' >/dev/null
    decides "$token" deny "an edited token decides"
    curl -sSf "$url/oauth/revoke" "${client[@]}" --data-urlencode "token=$access" >/dev/null
    decides "$access" deny "a revoked access token decides"
    WORKSPACE=$url SIDECAR=http://$sidecar "$examples/narrow_token.py" machine.json || fail "examples/machine-client/narrow_token.py"
    WORKSPACE=$url SIDECAR=http://$sidecar "$examples/narrow_token.sh" machine.json || fail "examples/machine-client/narrow_token.sh"
    ! grep -q pcl_ workspace.log sidecar.log || fail "a log has a secret"
    [[ $(content "$store" | grep -ac 'pcl_\(tk\|at\|m2m\)_') == 0 ]] || fail "the registry has a secret"
    (($(content "$store" | grep -ac "$(jq -r .id token.json)") > 0)) || fail "the content of the registry was not read"

    echo "a machine that uses a library of others"
    "$python" "$here/machine.py" "$url" machine.json

    echo "the API is as its document describes it"
    access=$(curl -sSf "$url/oauth/token" -d grant_type=client_credentials "${client[@]}" | jq -r .access_token)
    "$schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" --request-timeout 60 --header "authorization: Bearer $access" --max-examples "${EXAMPLES:-40}" \
        --checks all --exclude-checks positive_data_acceptance --seed 1 --phases examples,coverage,fuzzing \
        >schemathesis.txt 2>&1 || { cat schemathesis.txt; fail "schemathesis"; }
    tail -3 schemathesis.txt
    ! grep -qi panicked workspace.log || fail "$(grep -i panicked workspace.log)"
    end_processes
}

for store in ${STORES:-sqlite postgres}; do
    mkdir "$folder/$store"
    if [[ $store == sqlite ]]; then
        PORTCULLIS_DB=sqlite:registry.db
    else
        start_postgres "$folder/server"
        PORTCULLIS_DB="postgres://test@/postgres?host=$postgres_folder"
    fi
    export PORTCULLIS_DB
    cd "$folder/$store"
    check "$store"
done
echo "done"
