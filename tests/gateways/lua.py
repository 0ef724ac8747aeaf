"""Tests of nginx with Lua by itself: tests/gateways/lua.py [GATEWAY…].

The module reads the target and the headers from the memory of nginx, which all requests of a worker share: requests that are
rewritten before the check, headers in any number, and bodies that arrive while other requests are decided.
"""

import contextlib
import json
import pathlib
import socket
import sys
import tempfile

import client
import processes
from upstream import Upstream

NAME, FILE, COMMAND, _ = next(of for of in processes.IN_PROCESS if of[0] == "nginx-lua")
GOOD, BAD = "/v3/maps/dw/table?name=a.b.good", "/v3/maps/dw/table?name=a.b.bad"
TOKEN, JSON = "Authorization: Bearer s3cret", "Content-Type: application/json"
POLICY = {"tokens": [{"id": "one", "token": "s3cret", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "a.b.good"}]},
                     {"id": "two", "token": "0ther", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "a.b.bad"}]}]}
# Before the check, a client rewrites the path and the query.
REWRITE = """rewrite_by_lua_block {
                local path, query = ngx.var.http_to_path, ngx.var.http_to_query
                if path then ngx.req.set_uri(path) end
                if query then ngx.req.set_uri_args(query) end
            }
            access_by_lua_block"""
CHANGED = "the gateway changed the path before the check"
problems = []


def check(is_right, *words):
    if not is_right:
        problems.append(" ".join(str(word) for word in words))
        print("FAIL", problems[-1][:900], flush=True)


@contextlib.contextmanager
def running(folder, upstream):
    examples = folder / "examples"
    examples.mkdir(parents=True)
    (folder / "policy.json").write_text(json.dumps(POLICY))
    text = (processes.EXAMPLES / "nginx-lua.conf").read_text()
    if text.count("access_by_lua_block") != 1:
        raise SystemExit("the example has other text than `access_by_lua_block`")
    (examples / FILE).write_text(text.replace("access_by_lua_block", REWRITE))
    gateway = processes.gateway(NAME, FILE, COMMAND, folder, processes.free_port(), upstream.port, examples, folder / "policy.json")
    try:
        yield gateway
    finally:
        gateway.stop()


def ask(port, upstream, target, *lines, body=""):
    """Sends a request; returns the status, the error, and the targets that reached the upstream."""
    before = len(upstream.seen)
    head = "\r\n".join([f"{'POST' if body else 'GET'} {target} HTTP/1.1", "Host: x", "Connection: close", *lines])
    length = f"\r\nContent-Length: {len(body)}" if body else ""
    status, answer = client.exchange(port, f"{head}{length}\r\n\r\n{body}".encode())
    error = json.loads(answer).get("error") if answer.startswith(b"{") else None
    return status, error, [seen["path"] for seen in upstream.seen[before:]]


def rewritten(port, upstream):
    """A request is decided only if nginx routes the target that the client sent."""
    path = "/v3/maps/dw/table"
    for why, target, lines, expected in (
        ("nothing is rewritten", GOOD, [], (200, None)),
        ("nothing is rewritten, and the source is not granted", BAD, [], (403, None)),
        ("the path becomes what it was", GOOD, [f"To-Path: {path}"], (200, None)),
        ("the path becomes another", GOOD, ["To-Path: /v3/maps/dw/other"], (403, CHANGED)),
        ("the path becomes longer by a byte", GOOD, [f"To-Path: {path}x"], (403, CHANGED)),
        ("the path loses its last byte", GOOD, [f"To-Path: {path[:-1]}"], (403, CHANGED)),
        ("the query becomes what it was", GOOD, ["To-Query: name=a.b.good"], (200, None)),
        ("the query becomes another of the same length", GOOD, ["To-Query: name=a.b.evil"], (403, CHANGED)),
        ("the query becomes another", GOOD, ["To-Query: name=a.b.bad"], (403, CHANGED)),
        ("the query is removed", GOOD, ["To-Query;", "To-Query:"], (403, CHANGED)),
        ("a query is added", path, ["To-Query: name=a.b.good"], (403, CHANGED)),
        # Path, `?` and query are together the bytes of the target, but nginx forwards `%3F` instead of the first `?`.
        ("the path takes a part of the query", GOOD + "?x", [f"To-Path: {GOOD}", "To-Query: x"], (403, CHANGED)),
        ("the query takes a part of the path", path + "?x?y", [f"To-Path: {path}", "To-Query: y"], (403, CHANGED)),
        ("the path is escaped, and routed as it is meant", GOOD.replace("maps", "m%61ps"), [], (None, None)),
        ("the path is escaped, and becomes another", GOOD.replace("maps", "m%61ps"), ["To-Path: /v3/maps/dw/x"], (403, CHANGED)),
        ("a fragment is not routed", GOOD + "#x", [], (403, CHANGED)),
        ("the query is empty", path + "?", [], (403, None)),
        ("there is no query", path, [], (403, None)),
    ):
        status, error, seen = ask(port, upstream, target, TOKEN, *lines)
        check(expected[0] in (status, None) and (error == CHANGED) == (expected[1] == CHANGED), why, "should be", expected, "is", status, error)
        check(seen == ([target] if status == 200 else []), why, "the upstream receives", seen)


def headers(port, upstream):
    """All headers are read as they arrived, in any number, and those of one request only."""
    # nginx itself refuses some headers that occur twice, and more than a hundred headers.
    for count in (0, 1, 55, 59, 60, 61, 62, 63, 64, 65, 70, 90, 5):
        more = [f"X-{at}: {at}" for at in range(count)]
        other = "X-HTTP-Method-Override: DELETE"
        for why, lines, expected in (
            ("the token is last", [*more, TOKEN], 200),
            ("the token is first", [TOKEN, *more], 200),
            ("there is no token", more, 401),
            ("the last one changes the method", [TOKEN, *more, other], 403),
            ("the first one changes the method", [other, *more, TOKEN], 403),
            ("two have one name", [TOKEN, "X-0: a", *more, other, "x-0: b"], 403),
        ):
            status, error, seen = ask(port, upstream, GOOD, *lines)
            check((status, len(seen)) == (expected, int(expected == 200)), count, "headers:", why, "should be", expected, "is", status, error)
    for at, name in enumerate(("X-Portcullis-Token-Id", "x-portcullis-generation", "X-PORTCULLIS-Other")):
        status, error, seen = ask(port, upstream, GOOD, f"{name}: root", TOKEN, f"{name}: {at}")
        check((status, len(seen)) == (200, 1), name, "is", status, error)
        headers = str(upstream.seen[-1]["headers"])
        check("root" not in headers and "one" in headers, "a forged header arrives:", headers)


def bodies(port, upstream):
    """While a body arrives, other requests are decided with the same memory."""
    for length in ("Content-Length", "content-length", "CONTENT-LENGTH"):
        status, error, _ = ask(port, upstream, GOOD, TOKEN, f"{length}: 0")
        check(status == 200, length, "of no body:", status, error)
    for source, other, expected in (("a.b.good", "a.b.bad", 200), ("a.b.bad", "a.b.good", 403)):
        body = json.dumps({"name": source}).encode()
        head = (f"POST /v3/maps/dw/table HTTP/1.1\r\nHost: x\r\n{TOKEN}\r\n{JSON}\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        with contextlib.closing(socket.create_connection(("127.0.0.1", port), client.PATIENCE)) as waiting:
            waiting.sendall(head + body[:4])
            for _ in range(5):
                token = "Authorization: Bearer 0ther"
                status, error, _ = ask(port, upstream, f"/v3/maps/dw/table?name={other}&x={'y' * 500}", token, *[f"X-{at}: z" for at in range(40)])
                check(status == (200 if other == "a.b.bad" else 403), "a request beside a body:", status, error)
            before = len(upstream.seen)
            waiting.sendall(body[4:])
            answer = b""
            while more := waiting.recv(65536):
                answer += more
        status = int(answer.split(b" ", 2)[1])
        check((status, len(upstream.seen) - before) == (expected, int(expected == 200)), "a body that arrives later:", source, status, answer[-300:])


def main(wanted):
    if wanted and NAME not in wanted:
        return
    with tempfile.TemporaryDirectory() as scratch, Upstream() as upstream:
        folder = pathlib.Path(scratch)
        # Workers of nginx are another user.
        folder.chmod(0o755)
        with running(folder / "lua", upstream) as gateway:
            for stage in (rewritten, headers, bodies):
                stage(gateway.port, upstream)
                print(f"{NAME}: {stage.__name__}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.exit(f"{len(problems)} problems" if problems else 0)
