#!/usr/bin/env bash
# Mints a narrow API access token with curl and jq: WORKSPACE=… SIDECAR=… ./narrow_token.sh machine.json
# `machine.json` is the output of `portcullis credentials create m2m --format json`.
set -euo pipefail
workspace=${WORKSPACE:-http://127.0.0.1:8183}
sidecar=${SIDECAR:-http://127.0.0.1:8181}
machine=${1:-machine.json}
connection=${CONNECTION:-carto_dw}
granted=${GRANTED:-carto.shared.roads}
denied=${DENIED:-carto.private.salaries}

# Secrets are in files that only this user can read, and not in arguments: other users can see those.
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# 1. Exchange the secret of the machine for an access token.
jq -r '"grant_type=client_credentials&client_id=\(.client_id | @uri)&client_secret=\(.client_secret | @uri)"' "$machine" >"$folder/form"
access=$(curl -sf "$workspace/oauth/token" -d @"$folder/form" | jq -r .access_token) || {
    echo "error: the workspace at $workspace does not answer, or refuses the secret" >&2
    exit 1
}
printf 'Authorization: Bearer %s\n' "$access" >"$folder/headers"
api() { curl -sSf -H @"$folder/headers" -H 'Content-Type: application/json' "$@"; }

# 2. Mint a token that reads one table, for a day.
jq -n --arg connection "$connection" --arg source "$granted" '{
    allowed_apis: ["maps"], expiration_date: "1d", grants: [{connection_name: $connection, source: $source}]}' |
    api "$workspace/v3/tokens" -H "Idempotency-Key: $(od -An -N16 -tx1 /dev/urandom | tr -d " \n")" -d @- -D "$folder/answer" >"$folder/token.json"
id=$(jq -r .id "$folder/token.json")
echo "minted $id, which expires at $(jq -r .expiration_date "$folder/token.json")"

# Revokes the token. `If-Match` names the version that the creation answered.
revoke() {
    local etag
    etag=$(grep -i '^etag:' "$folder/answer" | cut -d' ' -f2 | tr -d '\r')
    api -X DELETE "$workspace/v3/tokens/$id?force=true" -H "If-Match: $etag" && echo "revoked $id"
}
# Also after an error: a token that nobody uses can still leak.
trap 'revoke || true; rm -rf "$folder"' EXIT

# 3. Use it at the sidecar.
decides() {
    local found
    for _ in {1..500}; do
        found=$(jq --arg connection "$connection" --arg resource "$1" '{token, api: "maps", connection: $connection, resource: $resource}' "$folder/token.json" |
            curl -sf "$sidecar/v1/decide" -H 'Content-Type: application/json' -d @- | jq -r .decision) || {
            echo "error: the sidecar at $sidecar does not answer" >&2
            return 1
        }
        [[ $found == "$2" ]] && { echo "$1: $found"; return; }
        sleep 0.02
    done
    echo "the sidecar answers $found for $1, expected $2" >&2
    return 1
}
decides "$granted" allow
decides "$denied" deny

# 4. Revoke it.
revoke
trap 'rm -rf "$folder"' EXIT
decides "$granted" deny
