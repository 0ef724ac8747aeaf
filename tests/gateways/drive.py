"""Sends requests through every gateway, and checks the answers and the requests that reach the upstream."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import sys
import tempfile
import time
from urllib.parse import unquote

import browser
import processes
from upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "data" / "http" / "requests.jsonl"
SITE = "https://www.example.com/"
problems = []


def check(is_right, *words):
    if not is_right:
        problems.append(" ".join(str(word) for word in words))
        print("FAIL", problems[-1][:600], flush=True)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def send(port, request, more=(), timeout=10):
    """Sends a request as it is written, and returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.putrequest(request["method"], request["url"], skip_accept_encoding=True)
        for name, value in [*request["headers"].items(), *more]:
            connection.putheader(name, value)
        body = request["body"].encode() if request["body"] is not None else None
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def is_well_formed(source):
    return re.fullmatch(r"[\w.$#`\"-]+", source.get("resource", "_")) is not None


def policy_of(requests):
    """A policy that grants about two thirds of what the requests ask for; one of its tokens is for some web sites only."""
    grants, tokens = {}, {}
    for request in requests:
        expect = request["expect"]
        if "not_understood" not in expect and expect["token"]:
            # A name that is malformed cannot be granted.
            for source in filter(is_well_formed, expect["sources"]):
                grants.setdefault((expect["token"], expect["api"], expect["connection"], json.dumps(source)))
    for token, api, connection, source in sorted(key for at, key in enumerate(grants) if at % 3):
        ((kind, text),) = json.loads(source).items()
        definition = tokens.setdefault(token, {"id": f"t{len(tokens)}", "token": token, "allowed_apis": [], "grants": []})
        if api not in definition["allowed_apis"]:
            definition["allowed_apis"].append(api)
        definition["grants"].append({"connection_name": connection, "type": kind, "source": text})
    for definition in list(tokens.values())[:1]:
        definition["referers"] = ["https://maps.acme.io/", "https://intranet.acme.test:8443/", "http://localhost:5173/"]
    dialect = lambda name: next((d for d in ("bigquery", "snowflake", "redshift", "databricks", "oracle") if d in name.lower()),
                                "bigquery" if "carto" in name else "postgres" if "pg" in name else "generic")
    names = sorted({key[2] for key in grants})
    return {"connections": [{"name": name, "dialect": dialect(name)} for name in names], "tokens": list(tokens.values())}


def decided(port, requests):
    """The ids of the requests that Portcullis allows when asked, past every gateway, for what they are known to ask for."""
    understood = [request for request in requests if "not_understood" not in request["expect"]]
    asked = [{key: value for key, value in request["expect"].items() if value} for request in understood]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/decide", json.dumps(asked), {"Content-Type": "application/json"})
        answers = json.load(connection.getresponse())
    wrong = [answer for answer in answers if "decision" not in answer]
    check(len(answers) == len(asked) and not wrong, "the native endpoint is not answered:", wrong[:3])
    return {request["id"] for request, answer in zip(understood, answers) if answer.get("decision") == "allow"}


def compare(name, port, upstream, request, is_allowed):
    """Sends one request, and checks its answer and whether it reached the upstream unchanged."""
    before = len(upstream.seen)
    status, headers, body = send(port, request)
    reached = upstream.seen[before:]
    if is_allowed:
        check(status == 200 and len(reached) == 1, name, request["id"], "should pass:", status, body[:200])
        for seen in reached:
            # Traefik decodes unnecessary escapes before it sends the request to Portcullis.
            is_same = seen["path"] == request["url"] or name == "traefik" and unquote(seen["path"]) == unquote(request["url"])
            check(is_same, name, request["id"], "reached the upstream as", seen["path"])
            check(seen["body"] == (request["body"] or ""), name, request["id"], "has lost its body")
            check(seen["headers"].get("x-portcullis-token-id"), name, request["id"], "reached it without the token's id")
        return
    check(400 <= status < 500 and not reached, name, request["id"], "should be denied:", status, body[:200], reached)
    if status in (401, 403):
        denial = json.loads(body) if body.startswith(b"{") else {}
        check(denial.get("reason") and denial.get("error"), name, request["id"], "has no reason:", status, body[:200])
        check(headers.get("content-type") == "application/json", name, request["id"], "is not JSON:", headers)


def passes(name, port, upstream, requests, allowed, has_body):
    for request in requests:
        # Requests with a body are denied if the gateway does not pass bodies on to Portcullis.
        compare(name, port, upstream, request, request["id"] in allowed and (has_body or request["body"] is None))


def spoofs(name, port, upstream):
    """Checks that gateways ignore forged headers of a client."""
    def request(table):
        return {"id": f"spoof of {table}", "method": "GET", "url": f"/v3/maps/carto_dw/table?name={table}",
                "headers": {"authorization": "Bearer demo-store-map", "referer": SITE}, "body": None}
    good, bad = "acme.public.stores", "acme.private.stores"
    for table, other, expected in ((bad, good, 403), (good, bad, 200)):
        url = f"/v3/maps/carto_dw/table?name={other}"
        spoofed = [("X-Original-URI", url), ("X-Original-Method", "OPTIONS"), ("X-Forwarded-Uri", url),
                   ("X-Forwarded-Method", "OPTIONS"), ("X-Envoy-Original-Path", url), ("X-Portcullis-Generation", "666"),
                   ("x-portcullis-token-id", "root"), ("X-Original-Content-Length", "0"),
                   # A hop removes the headers that Connection names (RFC 9110, 7.6.1). Those of Portcullis must stay.
                   ("Connection", "x-portcullis-token-id, x-portcullis-generation")]
        for more in ([header] for header in spoofed):
            before = len(upstream.seen)
            status, _, body = send(port, request(table), more)
            check(status == expected, name, table, "with", more, "is answered", status, body[:200])
            for seen in upstream.seen[before:]:
                ids = seen["headers"].get("x-portcullis-token-id"), seen["headers"].get("x-portcullis-generation")
                check(ids[0] == ["store-map"] and ids[1] == ["1"], name, "passed on", ids)
    # A second Authorization could be read by the upstream instead of the first.
    before = len(upstream.seen)
    status, _, _ = send(port, request(good), [("Authorization", "Bearer demo-sales-backend")])
    check(400 <= status < 500 and len(upstream.seen) == before, name, "lets two Authorization headers pass", status)


def targets(name, port, upstream):
    """Checks that the upstream receives the checked path, for every form of target."""
    path, host = "/v3/maps/carto_dw/table?name=acme.public.stores", f"127.0.0.1:{port}"
    headers = {"authorization": "Bearer demo-store-map", "referer": SITE}
    for target in (f"http://{host}{path}", f"HTTP://{host}{path}", f"ftp://{host}{path}", f"http://{host}?name=x", "*"):
        for method in ("GET", "OPTIONS"):
            before = len(upstream.seen)
            status, _, _ = send(port, {"method": method, "url": target, "headers": headers, "body": None})
            for seen in upstream.seen[before:]:
                check(status == 200 and seen["path"] == path, name, method, target, "reached the upstream as", seen["path"])


def preflights(name, port, upstream):
    """Checks that preflights, which have no token, are answered for the gateway's web sites and not forwarded."""
    headers = {"origin": "https://app.example.com", "access-control-request-method": "GET"}
    preflight = {"method": "OPTIONS", "url": "/v3/maps/carto_dw/table?name=a.b", "headers": headers, "body": None}
    before = len(upstream.seen)
    status, answered, body = send(port, preflight)
    allowed = answered.get("access-control-allow-origin"), "authorization" in (answered.get("access-control-allow-headers") or "").lower()
    check(status in (200, 204) and allowed == (headers["origin"], True), name, "preflight is answered", status, allowed, body[:200])
    for more in ([("X-HTTP-Method-Override", "GET")], [("X_HTTP_Method", "GET")], [("Connection", "Upgrade"), ("Upgrade", "h2c")]):
        send(port, preflight, more)
    send(port, {**preflight, "headers": {**headers, "origin": "https://other.example"}})
    send(port, {**preflight, "headers": {**headers, "content-type": "application/json"}, "body": "{}"})
    check(len(upstream.seen) == before, name, "lets preflights pass:", upstream.seen[before:])
    preflight["headers"] = {"origin": "https://app.example.com"}
    status, _, _ = send(port, preflight)
    check(status == 401, name, "OPTIONS without a method to ask for is answered", status)


def found(port, request):
    """Waits until a gateway that watches Portcullis has found that it runs."""
    deadline = time.monotonic() + 5
    while send(port, request)[0] >= 500 and time.monotonic() < deadline:
        time.sleep(0.05)


def nothing_passes(name, port, upstream, request):
    before = len(upstream.seen)
    status, _, _ = send(port, request)
    check(status >= 500 and len(upstream.seen) == before, name, "with Portcullis stopped:", status)


def gives_up(gateways, upstream, request):
    """Checks that each gateway denies requests after a timeout when Portcullis accepts connections and never answers."""
    def timed(port):
        # Traefik's timeout of 30 seconds cannot be changed.
        begun = time.monotonic()
        status, _, _ = send(port, request, timeout=40)
        return status, time.monotonic() - begun

    before = len(upstream.seen)
    with concurrent.futures.ThreadPoolExecutor(max(len(gateways), 1)) as asking:
        answers = [(name, asking.submit(timed, port)) for name, port, _ in gateways]
    for name, answer in answers:
        status, seconds = (answer.exception(), 40) if answer.exception() else answer.result()
        check(isinstance(status, int) and status >= 500, name, "with Portcullis hanging:", status)
        print(f"{name}: {status} after {seconds:.0f} s of a Portcullis that hangs", flush=True)
    check(len(upstream.seen) == before, "with Portcullis hanging, requests pass")


def documentation():
    """Each block of docs/gateways.md below the name of an example, in a comment, shows that file; and each example has one."""
    text = (ROOT / "docs" / "gateways.md").read_text()
    blocks = re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL)
    for file, block in blocks:
        check((processes.EXAMPLES / file).read_text() == block, f"docs/gateways.md shows another {file}")
    missing = {file.name for file in processes.EXAMPLES.iterdir()} - {file for file, _ in blocks}
    check(not missing, "docs/gateways.md does not show", missing)


def drive(binary, wanted, directory):
    own = lines(pathlib.Path(__file__).with_name("requests.jsonl"))
    own_allowed = {request["id"] for request in own if request["allow"]}
    vectors = lines(VECTORS) if VECTORS.exists() else []
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        port = processes.free_port()
        gateways = []
        for name, file, command, has_body in processes.GATEWAYS:
            if not wanted or name in wanted:
                gateway = processes.gateway(name, file, command, directory, port, upstream.port)
                stack.callback(gateway.stop)
                gateways.append((name, gateway.port, has_body))

        @contextlib.contextmanager
        def serving(path):
            server = processes.portcullis(binary, path, port, directory)
            for _, at, _ in gateways:
                found(at, own[0])
            try:
                yield server
            finally:
                server.stop()

        for name, at, _ in gateways:
            nothing_passes(name, at, upstream, own[0])
        with serving(ROOT / "examples" / "policy.json") as server:
            for name, at, has_body in gateways:
                passes(name, at, upstream, own, own_allowed, has_body)
                spoofs(name, at, upstream)
                targets(name, at, upstream)
                preflights(name, at, upstream)
                print(f"{name}: {len(own)} requests of our own, spoofed headers, preflights", flush=True)
            with server.hanging():
                gives_up(gateways, upstream, own[0])
        for name, at, _ in gateways:
            nothing_passes(name, at, upstream, own[0])
        if vectors:
            path = directory / "policy.json"
            path.write_text(json.dumps(policy_of(vectors)))
            with serving(path):
                allowed = decided(port, vectors)
                share = len(allowed) / len(vectors)
                check(0.2 < share < 0.8, f"a share of {share} is allowed: too few or too many for a meaningful test")
                for name, at, has_body in gateways:
                    passes(name, at, upstream, vectors, allowed, has_body)
                    print(f"{name}: {len(vectors)} recorded requests, {len(allowed)} of them allowed", flush=True)
        else:
            print("recorded requests: skipped, the file is missing")
        for name, at, _ in gateways:
            if name == "envoy-grpc":
                browser.drive(at, directory, serving, check)


if __name__ == "__main__":
    documentation()
    with tempfile.TemporaryDirectory() as scratch:
        drive(sys.argv[1], sys.argv[2:], pathlib.Path(scratch))
    sys.exit(f"{len(problems)} problems" if problems else 0)
