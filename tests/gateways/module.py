"""Tests of the Envoy module by itself: tests/gateways/module.py PORTCULLIS [GATEWAY…].

What it can do that a check over the network cannot, and each failure: options, routes, bodies, metadata, statistics,
damaged policies, reloads under load, and processes that are killed.
"""

import collections
import concurrent.futures
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import client
import processes
from recorder import Recorder
from upstream import Upstream

NAME, COMMAND = "envoy-module", "envoy -c {} --concurrency 4 --use-dynamic-base-id -l error --component-log-level dynamic_modules:info"
RELOADS, CLIENTS = 1000, 4
GOOD, BAD = "/v3/maps/dw/table?name=a.b.good", "/v3/maps/dw/table?name=a.b.bad"
JSON = ("content-type", "application/json")
TOKEN = ("authorization", "Bearer s3cret")
problems = []


def check(is_right, *words):
    if not is_right:
        problems.append(" ".join(str(word) for word in words))
        print("FAIL", problems[-1][:900], flush=True)


def policy(source="a.b.good", referers=None):
    token = {"id": "the token", "token": "s3cret", "allowed_apis": ["maps", "sql"],
             "grants": [{"connection_name": "dw", "source": "x.y.z"}, {"connection_name": "dw", "source": source}]}
    return {"tokens": [token | ({"referers": referers} if referers else {})]}


class Envoy:
    """An Envoy with the example, changed by `change`, in a folder of its own."""

    def __init__(self, folder, upstream, change=lambda text: text, document=None, command=COMMAND):
        folder.mkdir()
        examples = folder / "examples"
        examples.mkdir()
        self.admin, self.policy = processes.free_port(), folder / "policy.json"
        text = (processes.EXAMPLES / "envoy-module.yaml").read_text()
        # The format of the access log is the metadata, whatever it holds.
        log = ('access_log: [{name: log, typed_config: {"@type": '
               'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: '
               f'"{folder}/access", log_format: {{json_format: '
               '{metadata: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%", other: "%DYNAMIC_METADATA(portcullis)%", '
               'details: "%RESPONSE_CODE_DETAILS%", status: "%RESPONSE_CODE%"}}}}]')
        text = once(text, "          stat_prefix: apis\n", f"          stat_prefix: apis\n          {log}\n")
        text = once(text, "policy: /etc/portcullis/policy.json", f"policy: {self.policy}\n                  poll_milliseconds: 20")
        text = f"admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {self.admin}}}}}}}\n" + text
        (examples / "envoy-module.yaml").write_text(change(text))
        if document is not None:
            write(self.policy, document)
        self.process = processes.gateway(NAME, "envoy-module.yaml", command, folder, 1, upstream.port, examples)
        self.port, self.upstream, self.access, self.log = self.process.port, upstream, folder / "access", self.process.log

    def ask(self, target, *headers, method="GET", body=None):
        """Sends a request; returns status, JSON body, headers, and what reached the upstream."""
        before = len(self.upstream.seen)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body.encode() if body is not None else None)
            answer = connection.getresponse()
            text = answer.read()
        found = json.loads(text) if text.startswith(b"{") else {}
        return answer.status, found, answer.headers, self.upstream.seen[before:]

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/stats?filter=portcullis&format=json")
            stats = json.load(connection.getresponse())["stats"]
        return {each["name"].partition("portcullis.")[2]: each["value"] for each in stats if each.get("name")}

    def logged(self, count):
        """Returns the lines of the access log, once there are as many."""
        wait(lambda: self.access.exists() and len(self.access.read_text().splitlines()) >= count, "the access log")
        return [json.loads(line) for line in self.access.read_text().splitlines()]

    def stop(self):
        self.process.stop()


def once(text, old, new):
    if text.count(old) != 1:
        raise SystemExit(f"the example has other text than\n{old}")
    return text.replace(old, new)


def option(line):
    """A change that adds an option of the filter."""
    return lambda text: once(text, "                  cors_origins:", f"                  {line}\n                  cors_origins:")


def write(path, document):
    new = path.with_suffix(".new")
    new.write_text(document if isinstance(document, str) else json.dumps(document))
    os.replace(new, path)


def wait(until, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: nothing happens")
        time.sleep(0.01)


@contextlib.contextmanager
def running(*arguments, **options):
    envoy = Envoy(*arguments, **options)
    try:
        yield envoy
    finally:
        envoy.stop()


def outcomes(folder, upstream):
    """Decisions, and what the client, the upstream, the access log and the statistics show of each."""
    with running(folder / "outcomes", upstream, document=policy()) as envoy:
        forged = [("X-Portcullis-Token-Id", "root"), ("x-portcullis-generation", "9"), ("x-portcullis-other", "root")]
        status, _, _, seen = envoy.ask(GOOD, TOKEN, *forged)
        check((status, len(seen)) == (200, 1), "an allowed request", status)
        ours = {name: value for each in seen for name, value in each["headers"].items() if name.startswith("x-portcullis")}
        check(ours == {"x-portcullis-token-id": ["the%20token"], "x-portcullis-generation": ["1"]}, "headers for the upstream", ours)
        for target, headers, expected in (
            (BAD, [TOKEN], (403, "source_not_granted")),
            (GOOD, [], (401, "token_missing")),
            (GOOD, [("authorization", "")], (401, "token_missing")),
            (GOOD, [("authorization", "Bearer other")], (401, "token_unknown")),
            (GOOD, [TOKEN, TOKEN], (403, "request_not_understood")),
            (GOOD + "&name=a.b.bad", [TOKEN], (403, "request_not_understood")),
            ("/", [TOKEN], (403, "request_not_understood")),
        ):
            status, denial, headers, seen = envoy.ask(target, *headers)
            check((status, denial.get("reason"), seen) == (*expected, []), target, "should be", expected, "is", status, denial, seen)
            shown = headers.get("content-type"), headers.get("cache-control"), headers.get("www-authenticate")
            check(shown == ("application/json", "no-store", "Bearer" if status == 401 else None), target, "headers", headers.items())
        status, denial, headers, _ = envoy.ask(BAD, TOKEN, ("origin", "https://app.example.com"))
        check(headers.get("access-control-allow-origin") == "https://app.example.com", "CORS of a denial", headers.items())
        preflight = [("origin", "https://app.example.com"), ("access-control-request-method", "GET")]
        status, _, headers, seen = envoy.ask(GOOD, *preflight, method="OPTIONS")
        check((status, headers.get("access-control-max-age"), seen) == (204, "600", []), "a preflight", status, headers.items())
        status, denial, _, seen = envoy.ask(GOOD, TOKEN, method="HEAD")
        check((status, len(seen)) == (200, 1), "HEAD of an allowed request", status)
        status, denial, headers, seen = envoy.ask(BAD, TOKEN, method="HEAD")
        check((status, denial, seen) == (403, {}, []), "HEAD of a denied request", status, denial)

        lines = envoy.logged(12)
        allowed, denied, missing = lines[0], lines[1], lines[2]
        check(allowed["metadata"] == {"decision": "allow", "token_id": "the token", "grants": [1], "generation": 1}, "metadata", allowed)
        check(denied["metadata"] == {"decision": "deny", "token_id": "the token", "reason": "source_not_granted", "generation": 1}
              and denied["details"] == "portcullis_source_not_granted", "metadata of a denial", denied)
        check(missing["metadata"] == {"decision": "deny", "reason": "token_missing", "generation": 1}, "metadata without a token", missing)
        stats = envoy.stats()
        expected = {"decisions.allow": 2, "decisions.deny": 9, "decisions.preflight": 1, "denied.token_missing": 2,
                    "denied.token_unknown": 1, "denied.source_not_granted": 3, "denied.request_not_understood": 3,
                    "policy.reloaded": 1, "policy.generation": 1, "denied.policy_unavailable": 0}
        check(expected.items() <= stats.items(), "statistics", {key: stats.get(key) for key in expected})
        check(stats.get("policy.stale_seconds") == 0 and 0 <= stats.get("policy.age_seconds", -1) < 600, "the age of the policy", stats)

    three = [([], 403, "referer_missing"), ([("referer", "")], 403, "referer_missing"),
             ([("referer", "https://other.example/")], 403, "referer_not_allowed"),
             ([("referer", "https://app.example.com/")] * 2, 403, "referer_not_allowed"),
             ([("referer", "https://app.example.com/x")], 200, None)]
    with running(folder / "referers", upstream, document=policy(referers=["https://app.example.com/"])) as envoy:
        for referers, *expected in three:
            status, denial, _, _ = envoy.ask(GOOD, TOKEN, *referers)
            check([status, denial.get("reason")] == expected, referers, "should be", expected, "is", status, denial)


def fields(folder, upstream):
    """The option `metadata` selects the decisions whose fields are written. It changes nothing else of a decision."""
    large = json.dumps({"name": "a.b.good", "pad": "x" * 200})
    asked = [(GOOD, {}, 200), (BAD, {}, 403), ("/v3/maps/dw/table", {"method": "POST", "body": large}, 413)]
    for name, allows, denials in (("all", True, True), ("denials", False, True), ("none", False, False)):
        # `none` beside `shadow` is refused: nothing would show the denials.
        for shadow in (False, True) if name != "none" else (False,):
            change = option(f"metadata: {name}\n                  max_body: 100\n                  shadow: {str(shadow).lower()}")
            with running(folder / f"fields-{name}-{shadow}", upstream, change, document=policy()) as envoy:
                for target, more, expected in asked:
                    status, _, _, seen = envoy.ask(target, TOKEN, JSON, **more)
                    check(status == (200 if shadow else expected), "metadata", name, target, "is", status)
                    ids = [each["headers"].get("x-portcullis-token-id") for each in seen]
                    check(ids == ([["the%20token"]] if expected == 200 else [None] if shadow else []), "metadata", name, target, ids)
                lines = envoy.logged(3)
                found = [(line["metadata"] or {}).get("decision") for line in lines]
                wanted = ["allow" if allows else None] + ["deny" if denials else None] * 2
                check(found == wanted, "metadata", name, "should have", wanted, "has", lines)
                marked = [(line["metadata"] or {}).get("shadow", False) for line in lines]
                check(marked == [shadow and word is not None for word in found], "metadata", name, "marks shadowed decisions", lines)
                stats = envoy.stats()
                check((stats["decisions.allow"], stats["decisions.deny"]) == (1, 2), "metadata", name, "statistics", stats)


def bodies(folder, upstream):
    """Bodies are read where a source may be in them, up to the limit; elsewhere they stream."""
    limits = lambda text: option("max_body: 100000")(once(text, "  - address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n",
        "  - address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n    per_connection_buffer_limit_bytes: 4096\n"))
    buffered = ('          - name: envoy.filters.http.buffer\n            typed_config: {"@type": '
                'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 200000}\n')
    before = lambda text: once(limits(text), "          - name: portcullis\n", buffered + "          - name: portcullis\n")
    for name, change in (("limit", limits), ("buffered", before)):
        with running(folder / name, upstream, change, document=policy()) as envoy:
            for size in (0, 10, 3000, 50000, 99000):
                body = json.dumps({"name": "a.b.good", "pad": "x" * size})
                status, denial, _, seen = envoy.ask("/v3/maps/dw/table", TOKEN, JSON, method="POST", body=body)
                check(status == 200 and [each["body"] for each in seen] == [body], name, size, "bytes should pass", status, denial)
                body = json.dumps({"pad": "x" * size, "name": "a.b.bad"})
                status, denial, _, seen = envoy.ask("/v3/maps/dw/table", TOKEN, JSON, method="POST", body=body)
                check((status, denial.get("reason"), seen) == (403, "source_not_granted", []), name, size, "bytes should be denied", status, denial)
            exact = json.dumps({"name": "a.b.good", "pad": ""})
            for more, expected in ((0, 200), (1, 413)):
                body = exact[:-2] + "x" * (100000 - len(exact) + more) + exact[-2:]
                status, denial, headers, seen = envoy.ask("/v3/maps/dw/table", TOKEN, JSON, method="POST", body=body)
                check((status, len(seen)) == (expected, int(expected == 200)), name, len(body), "bytes:", status, denial)
                if expected == 413:
                    check((denial.get("reason"), headers.get("content-type")) == ("body_too_large", "application/json"), name, denial, headers.items())
            # A body that a GET hides, a body in pieces, and one that is cut off.
            status, denial, _, seen = envoy.ask(GOOD, TOKEN, JSON, method="GET", body='{"name": "a.b.bad"}')
            check((status, seen) == (403, []), name, "a body beside a source in the URL", status, denial)
            raw = (b"POST /v3/maps/dw/table HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nContent-Type: application/json\r\n"
                   b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
            pieces = lambda text: b"".join(b"%x\r\n%s\r\n" % (1, text[at:at + 1]) for at in range(len(text)))
            for source, expected in ((b"a.b.good", 200), (b"a.b.bad", 403)):
                before_count = len(upstream.seen)
                status, _ = client.exchange(envoy.port, raw + pieces(b'{"name": "%s"}' % source) + b"0\r\n\r\n")
                check(status == expected, name, "a body in pieces", status)
            before_count = len(upstream.seen)
            status, _ = client.exchange(envoy.port, raw + pieces(b'{"name": "a.b.good"'), timeout=1)
            check((status, len(upstream.seen)) == (0, before_count), name, "a body that does not end", status)
            check(envoy.stats().get("denied.body_too_large") == 1, name, "statistics of bodies", envoy.stats())


def trailers(folder, upstream):
    """Trailers, which some servers read as headers, do not reach an upstream that accepts them."""
    accepts = ('  - name: apis\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n'
               '        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n'
               '        explicit_http_config: {http_protocol_options: {enable_trailers: true}}\n')
    change = lambda text: once(text, "  - name: apis\n", accepts)
    unchecked = lambda text: re.sub(r"          - name: portcullis\n.*?(?=          - name: envoy.filters.http.router)", "", change(text), flags=re.DOTALL)
    sent = [("x-portcullis-token-id", "root"), ("authorization", "Bearer other")]
    for name, changed, arrives in (("module", change, False), ("no module", unchecked, True)):
        with Recorder() as recorder, running(folder / name.replace(" ", "-"), recorder, changed, document=policy()) as envoy:
            for target, body in ((GOOD, b""), ("/v3/maps/dw/table", b'{"name": "a.b.good"}')):
                headers = [(":method", "POST" if body else "GET"), (":path", target), (":scheme", "http"), (":authority", "x"), TOKEN]
                status, _ = client.exchange2(envoy.port, headers + [JSON] * bool(body), body, sent)
                raw = b"".join(recorder.take()[0])
                check(status == 200, name, "with trailers:", status, raw)
                found = b"root" in raw and b"Bearer other" in raw
                # Without a body, an Envoy may leave them out.
                check(found == arrives if body else arrives or not found, name, "trailers at the upstream:", raw)


def routes(folder, upstream):
    """Options of a route: its own table, no decision, and decisions without an effect."""
    table = {"base_segment": "v3", "routes": [{"path": "/v3/own/{connection}/{source}", "api": "maps"}], "passed_through": ["/health"]}
    # Envoy 1.38 passes only the text of a StringValue to a route.
    route = lambda prefix, value: (
        f'{{match: {{prefix: "{prefix}"}}, route: {{cluster: apis}}, typed_per_filter_config: {{portcullis: {{"@type": '
        'type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute, '
        'dynamic_module_config: {name: portcullis_envoy}, per_route_config_name: portcullis, filter_config: {"@type": '
        f"type.googleapis.com/google.protobuf.StringValue, value: '{json.dumps(value)}'}}}}}}}}")
    listed = ", ".join([route("/open", {"disabled": True}), route("/v3/own", {"routes": table}), route("/health", {"routes": table}),
                        route("/v3/maps/shadow", {"shadow": True}), "{match: {prefix: /}, route: {cluster: apis}}"])
    change = lambda text: once(text, "routes: [{match: {prefix: /}, route: {cluster: apis}}]", f"routes: [{listed}]")
    forged = ("x-portcullis-token-id", "root")
    with running(folder / "routes", upstream, change, document=policy()) as envoy:
        for target, headers, expected in (
            ("/open/anything", [forged], (200, None)),
            ("/v3/own/dw/a.b.good", [TOKEN, forged], (200, None)),
            ("/v3/own/dw/a.b.bad", [TOKEN], (403, "source_not_granted")),
            ("/health/x", [forged], (200, None)),
            ("/health", [], (200, None)),
            ("/v3/maps/shadow/table?name=a.b.bad", [TOKEN, forged], (200, None)),
            ("/v3/maps/shadow/table?name=a.b.bad", [forged], (200, None)),
            (BAD, [TOKEN], (403, "source_not_granted")),
            ("/v3/maps/own/dw/a.b.good", [TOKEN], (403, "request_not_understood")),
        ):
            status, denial, _, seen = envoy.ask(target, *headers)
            check((status, denial.get("reason")) == expected, target, "should be", expected, "is", status, denial)
            check("root" not in str(seen), target, "passes a forged header", seen)
        shadowed = envoy.logged(9)[5]["metadata"]
        check(shadowed == {"decision": "deny", "reason": "connection_not_granted", "token_id": "the token", "generation": 1, "shadow": True},
              "metadata of a shadowed denial", shadowed)
        stats = envoy.stats()
        check((stats.get("decisions.shadow_deny"), stats.get("decisions.pass")) == (2, 2), "statistics of a shadowed denial", stats)
        status, _, _, seen = envoy.ask("/v3/maps/shadow/table", TOKEN, JSON, method="POST", body='{"name": "a.b.bad"}')
        check((status, [each["body"] for each in seen]) == (200, ['{"name": "a.b.bad"}']), "a shadowed body", status, seen)
    # The path that is routed is decided: an earlier filter rewrites it, and Envoy merges slashes.
    rewrite = ('          - name: envoy.filters.http.lua\n            typed_config:\n'
               '              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n'
               '              default_source_code: {inline_string: "function envoy_on_request(request) '
               "request:headers():replace(':path', '" + BAD + "') end\"}\n")
    with running(folder / "rewritten", upstream, lambda text: once(text, "          - name: portcullis\n", rewrite + "          - name: portcullis\n"),
                 document=policy()) as envoy:
        status, denial, _, seen = envoy.ask(GOOD, TOKEN)
        check((status, denial.get("reason"), seen) == (403, "source_not_granted", []), "a path that an earlier filter rewrites", status, denial)
    slashes = lambda text: once(text, "          stat_prefix: apis\n", "          stat_prefix: apis\n          merge_slashes: true\n          normalize_path: true\n")
    with running(folder / "slashes", upstream, slashes, document=policy()) as envoy:
        status, _, _, seen = envoy.ask("//v3/./maps//dw/x/../table?name=a.b.good", TOKEN)
        check((status, [each["path"] for each in seen]) == (200, [GOOD]), "a path that Envoy normalises", status, seen)


def failures(folder, upstream):
    """A missing or damaged policy denies with 503; later damage keeps the last good policy."""
    for name, document in (("missing", None), ("damaged", "{"), ("empty", ""), ("folder", "folder")):
        with running(folder / name, upstream, document=None if name in ("missing", "folder") else document) as envoy:
            if name == "folder":
                envoy.policy.mkdir()
            for target in (GOOD, BAD):
                status, denial, _, seen = envoy.ask(target, TOKEN)
                check((status, denial.get("reason"), seen) == (503, "policy_unavailable", []), name, "policy:", status, denial)
            check("every request is denied with 503" in envoy.log.read_text(), name, "policy: no line in the log")
            if name == "folder":
                envoy.policy.rmdir()
            write(envoy.policy, policy())
            wait(lambda: envoy.ask(GOOD, TOKEN)[0] == 200, f"a {name} policy that is repaired")
            for damage in ("{", "", '{"tokens": 5}'):
                write(envoy.policy, damage)
                time.sleep(0.15)
                check((envoy.ask(GOOD, TOKEN)[0], envoy.ask(BAD, TOKEN)[0]) == (200, 403), name, "later damage", damage)
            envoy.policy.unlink()
            time.sleep(0.15)
            check((envoy.ask(GOOD, TOKEN)[0], envoy.ask(BAD, TOKEN)[0]) == (200, 403), name, "the file is removed later")
            check("a newer one is not valid" in envoy.log.read_text(), name, "later damage: no line in the log")
            check(envoy.stats().get("policy.reload_failed", 0) >= 3, name, "statistics of failures", envoy.stats())
            # The gauges change with a request.
            wait(lambda: envoy.ask(GOOD, TOKEN)[0] == 200 and envoy.stats().get("policy.stale_seconds", 0) >= 1, f"a {name} policy is stale")
            check(envoy.stats()["policy.age_seconds"] >= envoy.stats()["policy.stale_seconds"], name, "the age of the policy", envoy.stats())
    # Options that are not valid: Envoy refuses its configuration and says why.
    for name, change, expected in (
        ("option", option("polcy: x"), "unknown key `polcy`"),
        ("routes", option("routes: {}"), "`routes` is missing"),
        ("origin", lambda text: text.replace("https://app.example.com", "https://app.example.com/"), "help: write `https://app.example.com`"),
    ):
        try:
            with running(folder / f"refused-{name}", upstream, change, document=policy()):
                check(False, "an invalid option is accepted:", name)
        except SystemExit as refused:
            check(expected in str(refused), "an invalid option:", name, refused)


def abi(modules):
    """Any program but Envoy is refused, with a line that says why."""
    load = (f"import ctypes; module = ctypes.CDLL({str(modules / 'libportcullis_envoy.so')!r}, ctypes.RTLD_LOCAL); "
            "init = module.envoy_dynamic_module_on_program_init; init.restype = ctypes.c_void_p; print(init())")
    result = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, timeout=60)
    check(result.stdout == "None\n" and "does not know the ABI of this Envoy" in result.stderr, "a program that is not Envoy", result)


def memory(envoy):
    """Returns the resident memory in KiB of Envoy itself, which a script starts."""
    children = pathlib.Path(f"/proc/{envoy.process.child.pid}/task/{envoy.process.child.pid}/children").read_text().split()
    pid = next((child for child in children), envoy.process.child.pid)
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]), int(pid)


def reloads(folder, upstream):
    """Under load, each of many policies applies, no answer is wrong, and memory stays flat."""
    with running(folder / "reloads", upstream, document=policy("a.b.n0")) as envoy:
        # The token reads the tables of this round and of the one before, and never the other one.
        allowed, stop, counted = [0], threading.Event(), collections.Counter()
        document = lambda at: {"tokens": [{"id": "t", "token": "s3cret", "allowed_apis": ["maps"], "grants": [
            {"connection_name": "dw", "source": f"a.b.n{at}"}, {"connection_name": "dw", "source": "a.b.always"}]}]}
        write(envoy.policy, document(0))
        wait(lambda: envoy.ask("/v3/maps/dw/table?name=a.b.always", TOKEN)[0] == 200, "the first policy")

        def load():
            connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)
            while not stop.is_set():
                for source, expected in (("a.b.always", 200), ("a.b.never", 403)):
                    connection.request("GET", f"/v3/maps/dw/table?name={source}", headers=dict([TOKEN]))
                    answer = connection.getresponse()
                    answer.read()
                    counted[source, answer.status] += 1
                    if answer.status != expected:
                        check(False, "under reloads,", source, "is answered", answer.status)

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(load) for _ in range(CLIENTS)]
            connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)

            def status(source):
                connection.request("GET", f"/v3/maps/dw/table?name={source}", headers=dict([TOKEN]))
                answer = connection.getresponse()
                answer.read()
                return answer.status

            sizes = []
            try:
                for at in range(1, RELOADS + 1):
                    write(envoy.policy, document(at))
                    wait(lambda: status(f"a.b.n{at}") == 200, f"reload {at}")
                    check(status(f"a.b.n{at - 1}") == 403, "reload", at, "keeps the grant before")
                    upstream.seen.clear()
                    if at % 100 == 0:
                        sizes.append(memory(envoy)[0])
            finally:
                stop.set()
        for each in asking:
            each.result()
        # The first rounds fill caches.
        check(sizes[-1] <= sizes[1] * 1.1 + 2048, "memory grows with reloads:", sizes)
        print(f"{NAME}: {RELOADS} reloads under load, {sum(counted.values())} answers, memory {sizes[0]} to {sizes[-1]} KiB", flush=True)


def killed(folder, upstream):
    """While Envoy is killed and started again under load, nothing that is denied reaches the upstream."""
    upstream.seen.clear()
    ports = []
    for at in range(3):
        envoy = Envoy(folder / f"killed-{at}", upstream, document=policy())
        ports.append(envoy.port)
        stop = threading.Event()

        def load():
            while not stop.is_set():
                for target in (BAD, GOOD):
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        envoy.ask(target, TOKEN)

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(load) for _ in range(CLIENTS)]
            time.sleep(0.3)
            os.kill(memory(envoy)[1], signal.SIGKILL)
            time.sleep(0.1)
            stop.set()
            for each in asking:
                each.result()
        envoy.stop()
    paths = collections.Counter(each["path"] for each in upstream.seen)
    check(set(paths) == {GOOD}, "with Envoy killed, the upstream receives", paths)


def drive(binary, folder):
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        abi(pathlib.Path(os.environ["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"]))
        for stage in (outcomes, fields, bodies, trailers, routes, failures, killed, reloads):
            (folder / stage.__name__).mkdir()
            stage(folder / stage.__name__, upstream)
            print(f"{NAME}: {stage.__name__}", flush=True)


if __name__ == "__main__":
    if not sys.argv[2:] or NAME in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as scratch:
            drive(sys.argv[1], pathlib.Path(scratch))
    sys.exit(f"{len(problems)} problems" if problems else 0)
