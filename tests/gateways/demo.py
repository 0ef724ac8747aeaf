"""Requests about two tables of `examples/policy.json`, one that the token `store-map` may read and one that nobody may."""

import json

import client
import drive

GOOD, SECRET = "acme.public.stores", "acme.private.stores"
PATH = "/v3/maps/carto_dw/table"
HEADERS = {"authorization": "Bearer demo-store-map", "referer": drive.SITE}
TOKEN, SITE = "Authorization: Bearer demo-store-map\r\n", f"Referer: {drive.SITE}\r\n"
# The header lines of a request for the good table, and what may be answered: a status, or the reason of a denial.
REPEATED = [
    ("a token and a site", TOKEN + SITE, {200}),
    ("no site", TOKEN, {"referer_missing"}),
    ("an empty site", TOKEN + "Referer:\r\n", {"referer_missing", "referer_not_allowed"}),
    ("another site", TOKEN + "Referer: https://www.example.org/\r\n", {"referer_not_allowed"}),
    ("two sites", TOKEN + SITE + SITE, {"referer_not_allowed"}),
    ("two sites, the second another", TOKEN + SITE + "Referer: https://www.example.org/\r\n", {"referer_not_allowed"}),
    ("no token", SITE, {"token_missing"}),
    ("an empty token", "Authorization:\r\n" + SITE, {"token_missing", "request_not_understood"}),
    ("two tokens", TOKEN + TOKEN + SITE, {"request_not_understood"}),
    ("a token beyond ASCII", "Authorization: Bearer é\r\n" + SITE, {"request_not_understood", "token_unknown"}),
]


def ask(port, target, method="GET", body=None, more=()):
    """Sends a request with the token; a body is JSON. Returns status, headers and body."""
    headers = {**HEADERS, **({"content-type": "application/json"} if body is not None else {})}
    return drive.send(port, {"method": method, "url": target, "headers": headers, "body": body}, more)


def head(method, path, *lines):
    """Returns the head of a request with the token, up to further header lines."""
    own = [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *own, *lines, ""])


def repeated_headers(port, rejects=()):
    """Each of the headers that a decision needs: missing, empty, other, repeated. A gateway itself `rejects` with these statuses."""
    for what, fields, expected in REPEATED:
        raw = f"GET {PATH}?name={GOOD} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
        status, body = client.exchange(port, raw.encode())
        found = json.loads(body)["reason"] if body.startswith(b'{"error"') else status
        drive.check(found in expected or found in rejects and what == "two tokens", what, "gives", found)


def whole_bodies(upstream, what, size, send):
    """A body of about this size is decided, and passed on as it is. `send` sends a body, and returns the status and the response."""
    for name, expected in ((GOOD, 200), (SECRET, 403)):
        body = json.dumps({"padding": "x" * size, "name": name})
        before = len(upstream.seen)
        status, answer = send(body)
        passed = [each["body"] for each in upstream.settled(before)]
        drive.check(status == expected and passed == [body] * (expected == 200), what, size, "bytes with", name, status, answer[:200], len(passed))
