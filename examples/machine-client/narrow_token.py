#!/usr/bin/env python3
"""Mints a narrow API access token, as a backend does for one of its users. Needs Python 3.8 or later, and nothing else.

    WORKSPACE=http://127.0.0.1:8183 SIDECAR=http://127.0.0.1:8181 ./narrow_token.py machine.json

`machine.json` is the output of `portcullis credentials create m2m --format json`.
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

CONNECTION = os.environ.get("CONNECTION", "carto_dw")
GRANTED = os.environ.get("GRANTED", "carto.shared.roads")
DENIED = os.environ.get("DENIED", "carto.private.salaries")


def call(method, url, body=None, headers=(), what="workspace"):
    """Sends a request to `what`. Returns status, headers and the JSON of the answer, which may be an error."""
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, found, text = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, found, text = error.code, error.headers, error.read()
    except (OSError, http.client.HTTPException):
        origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
        raise SystemExit(f"error: the {what} at {origin} does not answer") from None
    try:
        return status, found, json.loads(text) if text else None
    except ValueError:
        raise SystemExit(f"error: expected JSON from the {what}, found something else at {url}") from None


class Workspace:
    """The workspace, as this machine may use it."""

    def __init__(self, url, machine):
        self.url = url.rstrip("/")
        self.machine = machine
        self.bearer = None

    def sign_in(self):
        """Exchanges the secret of the machine for an access token, with only the scopes that this program needs."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.machine["client_id"],
            "client_secret": self.machine["client_secret"],
            "scope": "read:tokens write:tokens",
        }
        body = urllib.parse.urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, answer = call("POST", self.url + "/oauth/token", body, headers)
        if status != 200:
            raise SystemExit(f"no access token: {answer['error']}: {answer['error_description']}")
        self.bearer = answer["access_token"]

    def api(self, method, path, body=None, headers=()):
        """Calls the Tokens API. Access tokens are short-lived: if this one has expired, gets another one, once."""
        text = None if body is None else json.dumps(body).encode()
        for attempt in (1, 2):
            if self.bearer is None:
                self.sign_in()
            own = {"Authorization": "Bearer " + self.bearer, "Content-Type": "application/json"}
            status, found, answer = call(method, self.url + path, text, {**own, **dict(headers)})
            if status != 401 or attempt == 2:
                break
            self.bearer = None
        if status >= 400:
            problems = [f"{it['message']}; {it['help']}" for it in answer["errors"]]
            raise SystemExit(f"{method} {path}: {status}: " + "\n".join(problems))
        return found, answer

    def mint(self, source, lifetime):
        """Creates a token that reads one source. The key makes a repeated request safe: it creates one token."""
        body = {
            "name": f"visitor {uuid.uuid4()}",
            "allowed_apis": ["maps"],
            "grants": [{"connection_name": CONNECTION, "source": source}],
            "expiration_date": lifetime,
        }
        _, token = self.api("POST", "/v3/tokens", body, {"Idempotency-Key": str(uuid.uuid4())})
        return token

    def revoke(self, token_id):
        """Deletes a token. `If-Match` needs the version that was read; `force` deletes a token that is in use."""
        found, _ = self.api("GET", f"/v3/tokens/{token_id}")
        self.api("DELETE", f"/v3/tokens/{token_id}?force=true", headers={"If-Match": found["ETag"]})


def decide(sidecar, secret, resource):
    """Asks the sidecar whether the token may read a table. A gateway does this for each request."""
    body = json.dumps({"token": secret, "api": "maps", "connection": CONNECTION, "resource": resource}).encode()
    status, _, answer = call("POST", sidecar + "/v1/decide", body, {"Content-Type": "application/json"}, "sidecar")
    if status != 200:
        raise SystemExit(f"error: the sidecar answers with the status {status}")
    return answer["decision"]


def wait_for(sidecar, secret, resource, wanted):
    """Waits until the sidecar knows a change: milliseconds with SQLite, and at most a quarter of a second with PostgreSQL."""
    import time

    deadline = time.monotonic() + 10
    while (found := decide(sidecar, secret, resource)) != wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"the sidecar answers {found} for {resource}, expected {wanted}")
        time.sleep(0.02)
    print(f"{resource}: {found}")


def main():
    workspace_url = os.environ.get("WORKSPACE", "http://127.0.0.1:8183")
    sidecar = os.environ.get("SIDECAR", "http://127.0.0.1:8181").rstrip("/")
    with open(sys.argv[1] if len(sys.argv) > 1 else "machine.json", encoding="utf-8") as file:
        workspace = Workspace(workspace_url, json.load(file))
    token = workspace.mint(GRANTED, "1d")
    print(f"minted {token['id']}, which expires at {token['expiration_date']}")
    try:
        wait_for(sidecar, token["token"], GRANTED, "allow")
        wait_for(sidecar, token["token"], DENIED, "deny")
    finally:
        # Also after an error: a token that nobody uses can still leak.
        workspace.revoke(token["id"])
        print(f"revoked {token['id']}")
    wait_for(sidecar, token["token"], GRANTED, "deny")


if __name__ == "__main__":
    main()
