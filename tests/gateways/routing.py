"""Runs nginx with the module and with every way to route a request elsewhere: tests/gateways/routing.py [GATEWAY…].

Whatever nginx does, a denied source is not read, and an allowed one is read once.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import client
import demo
import drive
import endurance
import inprocess
import processes
from demo import GOOD, PATH, SECRET, ask
from upstream import Upstream

FILES = pathlib.Path(__file__).with_name("nginx")
MODULE = next(each for each in processes.IN_PROCESS if each[0] == "nginx-module")

# The suffix of the path, and for an allowed source: the status, and how many requests reach the upstream.
LOCATIONS = [
    ("/5/15/12", 200, 1),
    ("/return", 200, 0),
    ("/return-nothing", 204, 0),
    ("/return-redirect", 302, 0),
    ("/if", 200, 0),
    ("/set", 200, 1),
    ("/redirect", 302, 0),
    ("/break-secret", 403, 0),
    ("/break-same", 200, 1),
    ("/last-secret", 403, 0),
    ("/last-same", 200, 1),
    ("/args-secret", 403, 0),
    ("/try-secret", 403, 0),
    ("/try-named", 200, 1),
    ("/error-secret", 403, 0),
    ("/error-named", 200, 1),
    ("/denied-named", 200, 1),
    ("/accel", 403, 0),
    ("/auth", 200, 1),
    # The subrequest is not a route, and nobody turned the check off there.
    ("/auth-decided", 403, 0),
    ("/satisfy", 200, 1),
    ("/mirror", 200, 1),
    ("/slice", 200, 1),
    ("/after", 200, 1),
    ("/include-secret", 200, 0),
    ("/include-rewritten", 200, 0),
    ("/include-good", 200, 1),
    ("/lua-say", 200, 0),
    ("/lua-secret", 403, 0),
    ("/lua-capture-secret", 200, 0),
    ("/unbuffered", 200, 1),
    ("/shadowed", 200, 1),
]


def locations(port, upstream):
    for suffix, expected, count in LOCATIONS:
        for method in ("GET", "HEAD"):
            before = len(upstream.seen)
            status, _, body = ask(port, f"{PATH}{suffix}?name={GOOD}", method)
            seen = upstream.settled(before)
            drive.check(status == expected and (len(seen) == count or method == "HEAD"), method, suffix, "with an allowed source:",
                        status, body[:200], [each["path"] for each in seen])
            drive.check(not any(SECRET in each["path"] for each in seen), suffix, "reads another source:", seen)
            drive.check(all(each["headers"].get("x-portcullis-token-id") == ["store-map"] for each in seen), suffix, seen)
            before = len(upstream.seen)
            status, headers, body = ask(port, f"{PATH}{suffix}?name={SECRET}", method)
            is_denial = method == "HEAD" and body == b"" or body.startswith(b"{") and b'"source_not_granted"' in body
            # A client that cannot tell where an answer ends reads the next one as a part of it.
            is_long = int(headers.get("content-length", -1)) == (len(body) if method == "GET" else 85)
            drive.check(status == 403 and is_denial and is_long and not upstream.settled(before), method, suffix,
                        "with a denied source:", status, headers.items(), body[:200])
    # Nothing follows the response, although the request after it is denied.
    raw = demo.head("GET", f"{PATH}/after?name={GOOD}")
    status, body = client.exchange(port, (raw + "\r\n").encode())
    drive.check(status == 200 and body.endswith(b"}") and b"reason" not in body, "/after is answered", status, body[-300:])
    for path, expected in ((f"/short?name={GOOD}", 403), (f"/shorter?name={GOOD}", 200), (f"/shorter?name={SECRET}", 403),
                           (f"/return?name={GOOD}", 403)):
        drive.check(ask(port, path)[0] == expected, path, "is answered", ask(port, path))


def server_answers(port, upstream):
    """A server that answers by itself, before nginx looks for a location."""
    for answer, expected in (("text", 200), ("nothing", 204), ("redirect", 301), ("", 200)):
        for method in ("GET", "HEAD", "POST"):
            # Nothing reads the body of these requests, so it cannot be decided.
            wanted = 403 if method == "POST" and answer else expected
            body = json.dumps({"client": "x"}) if method == "POST" else None
            status, _, text = ask(port, f"{PATH}?name={GOOD}&answer={answer}", method, body)
            drive.check(status == wanted, method, "server:", answer, "with an allowed source:", status, text)
            before = len(upstream.seen)
            status, _, text = ask(port, f"{PATH}?name={SECRET}&answer={answer}", method, body)
            drive.check(status == 403 and (method == "HEAD" or b'"reason"' in text) and b"open" not in text, method, "server:",
                        answer, "with a denied source:", status, text)
            drive.check(len(upstream.seen) == before, "server:", answer, "reads a denied source")
    # The connection stays in order after an answer was replaced.
    request = f"GET {PATH}?name={SECRET}&answer=%s HTTP/1.1\r\nHost: a\r\n\r\n"
    raw = "".join(request % answer for answer in ("text", "nothing", "redirect")) + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(raw.encode())
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    drive.check(len(re.findall(rb"HTTP/1\.1 40[13] ", answers)) == 4 and answers.count(b'{"error"') == 4, "pipelined:", answers)


def headers(port, upstream):
    """A client's own headers never describe a decision, also where the check is off. Outcomes of headers stay distinct."""
    for path in (f"{PATH}?name={GOOD}", "/open"):
        for forged in ([("X-Portcullis-Token-Id", "root")], [("x-portcullis-anything", "root"), ("X-PORTCULLIS-GENERATION", "6")],
                       [(f"x-other-{at}", str(at)) for at in range(30)] + [("X-Portcullis-Token-Id", "root")],
                       [("X-Portcullis-Token-Id", "root")] * 25):
            before = len(upstream.seen)
            status, _, _ = ask(port, path, more=forged)
            (seen,) = upstream.settled(before)
            own = {name: value for name, value in seen["headers"].items() if name.startswith("x-portcullis")}
            others = [name for name in seen["headers"] if name.startswith("x-other-")]
            expected = {} if path == "/open" else {"x-portcullis-token-id": ["store-map"], "x-portcullis-generation": ["1"]}
            drive.check(status == 200 and own == expected and len(others) == sum("other" in name for name, _ in forged),
                        path, "with", forged[:2], "passes on", own, others)
    demo.repeated_headers(port, rejects=[400])


def bodies(port, upstream):
    """A body is decided and passed on whole: in memory, in a file, unbuffered, chunked, and up to the limit."""
    def post(suffix, body):
        status, _, answer = ask(port, f"{PATH}{suffix}", "POST", body)
        return status, answer

    def post_chunks(suffix, body):
        half = len(body) // 2
        chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (body[:half], body[half:], ""))
        head = demo.head("POST", f"{PATH}{suffix}", "Content-Type: application/json", "Transfer-Encoding: chunked")
        return client.exchange(port, f"{head}\r\n{chunks}".encode())

    for suffix in ("", "/unbuffered", "/file", "/file-unbuffered"):
        for size in (10, 5_000, 200_000):
            demo.whole_bodies(upstream, suffix, size, functools.partial(post, suffix))
            demo.whole_bodies(upstream, f"{suffix}, chunked", size, functools.partial(post_chunks, suffix))
    for size, expected in ((10, 200), (200, 413)):
        before = len(upstream.seen)
        status, _, body = ask(port, f"{PATH}/small", "POST", json.dumps({"name": GOOD, "padding": "x" * size}))
        drive.check(status == expected and len(upstream.settled(before)) == (expected == 200), "a limit of 100:", status, body)
        drive.check(expected == 200 or json.loads(body)["reason"] == "body_too_large", "a limit of 100:", body)
    # A client that sends only a part of a body.
    before = len(upstream.seen)
    raw = demo.head("POST", PATH, "Content-Type: application/json", "Content-Length: 100")
    client.exchange(port, (raw + "\r\n{\"name\":").encode(), timeout=0.3)
    drive.check(not upstream.settled(before), "a part of a body passes")


def logged(log, expected, part):
    """The parts of the last GET requests of the log. nginx writes a line after the client has its response: waits for it."""
    deadline = time.monotonic() + 5
    while True:
        lines = [line for line in log.read_text().splitlines() if line.startswith("GET ")]
        found = [part(line) for line in lines[-len(expected):]]
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def reports(port, directory):
    """Logs and metrics show the decisions, and nothing of a client's own."""
    log = directory / "nginx-module" / "access.log"
    ask(port, f"{PATH}?name={GOOD}")
    ask(port, f"{PATH}?name={SECRET}")
    drive.send(port, {"method": "GET", "url": f"{PATH}?name={GOOD}", "headers": {"authorization": "Bearer nobody"}, "body": None})
    status, _, text = ask(port, "/metrics")
    expected = ['200 "store-map" "-" "1" "-"', '403 "store-map" "source_not_granted" "1" "-"', '401 "-" "token_unknown" "1" "-"',
                '200 "-" "-" "-" "-"']
    found = logged(log, expected, lambda line: line.split(" ", 2)[2])
    drive.check(found == expected, "the log has", found)
    label = 'portcullis_decisions_total{worker="0",policy="%s",outcome="%s",reason="%s"} '
    for outcome, reason in (("allow", ""), ("deny", "source_not_granted"), ("deny", "token_unknown")):
        found = [line for line in text.decode().splitlines() if line.startswith(label % (directory / "policy.json", outcome, reason))]
        drive.check(len(found) == 1 and int(found[0].split()[-1]) > 0, "metrics have", found, outcome, reason)
    for name in ("age", "stale"):
        drive.check(re.search(rb"^portcullis_policy_%s_seconds\{worker=\"0\",policy=[^}]*\} \d+$" % name.encode(), text, re.M), "metrics have", name)
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True) if processes.shutil.which("promtool") else None
    drive.check(status == 200 and (check is None or not check.stderr.strip()), "promtool:", check and check.stderr)
    # The second policy also decides, and changes no answer.
    ask(port, f"{PATH}/shadowed?name={GOOD}")
    ask(port, f"{PATH}/shadowed?name={SECRET}")
    expected = ['"source_not_granted"', '"allow"']
    shadows = logged(log, expected, lambda line: line.rsplit(" ", 1)[1])
    drive.check(shadows == expected, "the shadow policy decides", shadows)


def late_module(directory):
    """Builds a module whose handler runs before the check if it is loaded after it; returns its path."""
    nginx = pathlib.Path(os.environ["PORTCULLIS_NGINX_MODULES"]) / "nginx"
    folders = [nginx / "objs", *(nginx / "src" / each for each in ("core", "event", "event/modules", "os/unix", "http", "http/modules", "http/v2"))]
    command = ["cc", "-shared", "-fPIC", *(f"-I{folder}" for folder in folders), "-o", directory / "late.so", FILES / "late.c"]
    subprocess.run(command, check=True, env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"})
    return directory / "late.so"


def reloads(gateway, directory, policy):
    """A reload with a damaged policy fails, and the workers stay. A reload with a valid one starts new workers."""
    (master,) = {int(line.split()[1]) for pid in endurance.workers(gateway)
                 for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("PPid:")}
    status = lambda: ask(gateway.port, f"{PATH}?name={GOOD}")[0]
    before = endurance.workers(gateway)
    inprocess.replace(policy, "{")
    os.kill(master, signal.SIGHUP)
    endurance.until("the error of the reload", lambda: "policy.json" in (directory / MODULE[0] / "log").read_text()
                    and "routing.conf:" in (directory / MODULE[0] / "log").read_text())
    time.sleep(0.2)
    drive.check(endurance.workers(gateway) == before and status() == 200, "a reload with a damaged policy:", status())
    inprocess.replace(policy, inprocess.DEMO)
    for _ in range(3):
        before = endurance.workers(gateway)
        os.kill(master, signal.SIGHUP)
        endurance.until("new workers", lambda: endurance.workers(gateway) and not set(before) & set(endurance.workers(gateway)))
        drive.check(status() == 200, "after a reload:", status())
        status_of_metrics, _, text = ask(gateway.port, "/metrics")
        drive.check(status_of_metrics == 200 and re.search(rb'outcome="allow",reason=""} [12]\n', text), "counters after a reload:", text[:400])


def configurations(directory, upstream):
    """`nginx -t` reports the place of a mistake and the fix. Each case: a directive, and a part of the error."""
    plain = (FILES / "routing.conf").read_text()
    policy = directory / "configurations.json"
    policy.write_text(inprocess.DEMO)
    (directory / "damaged.json").write_text('{"tokens": [{"id": "a"}]}')
    (directory / "routes.json").write_text('{"routes": [{"path": "x"}]}')
    modules = directory / "configurations"
    modules.mkdir()
    processes.link_modules(modules / "modules")
    own = "    portcullis_policy /etc/portcullis/policy.json;\n"
    line = plain[:plain.index(own)].count("\n") + 1
    server = "    server {\n        listen 127.0.0.1:8080;\n        portcullis on;\n"
    load, late = "load_module modules/ngx_http_portcullis_module.so;\n", late_module(directory)
    for old, new, expected in (
        ("", "", None),
        (own, "", ["expected a policy", "portcullis_policy policy.json"]),
        (own, "    portcullis_policy missing.json;\n", ["missing.json", f"n.conf:{line}"]),
        (own, f"    portcullis_policy {directory}/damaged.json;\n", ["damaged.json", f"n.conf:{line}"]),
        (own, f"    portcullis_policy {directory};\n", ["it is a folder", f"n.conf:{line}"]),
        (own, own + own, ["duplicate", f"n.conf:{line + 1}"]),
        (own, own + f"    portcullis_routes {directory}/routes.json;\n", ["routes[0]", f"n.conf:{line + 1}"]),
        (own, own + "    portcullis_routes none.json;\n", ["none.json", f"n.conf:{line + 1}"]),
        (own, own + "    portcullis_routes /dev/zero;\n", ["expected a file", f"n.conf:{line + 1}"]),
        (server, server + "        portcullis_shadow none.json;\n", ["none.json", "n.conf:"]),
        (server, server + "        portcullis_cors_origins app.example.com;\n", ["expected an origin", "https://app.example.com"]),
        (server, server + "        portcullis_cors_origins https://app.example.com/;\n", ["expected an origin", "https://app.example.com"]),
        (server, server + "        portcullis_max_body_size 17m;\n", ["from 1 to 16m"]),
        (server, server + "        portcullis_max_body_size 0;\n", ["from 1 to 16m"]),
        ("location /v3/maps/carto_dw/table/if {", "location /v3/maps/carto_dw/table/if { portcullis maybe;", ["\"on\" or \"off\""]),
        (load, f"load_module {late};\n" + load, None),
        (load, load + f"load_module {late};\n", ["the last one"]),
        ("if ($arg_name) { return", "if ($arg_name) { portcullis off; return", ["not allowed here"]),
    ):
        drive.check(plain.count(old or plain) == 1, "the configuration has not one", old)
        text = plain.replace(old, new) if old else plain
        text = text.replace(processes.POLICY + ".shadow", str(policy)).replace(processes.POLICY, str(policy))
        text = text.replace("/var/log/nginx/", f"{directory}/")
        (modules / "n.conf").write_text(text)
        run = subprocess.run(["nginx", "-p", str(modules), "-e", "stderr", "-c", str(modules / "n.conf"), "-t", "-g", "pid test.pid;"],
                             capture_output=True, text=True)
        if expected is None:
            drive.check(run.returncode == 0, "a valid configuration:", new, run.stderr)
        else:
            drive.check(run.returncode == 1 and all(part in run.stderr for part in expected), new, "is answered:", run.stderr)


def main(wanted):
    if wanted and MODULE[0] not in wanted:
        return
    with tempfile.TemporaryDirectory() as scratch, Upstream() as upstream:
        directory = pathlib.Path(scratch)
        directory.chmod(0o755)
        policy = directory / "policy.json"
        policy.write_text(inprocess.DEMO)
        exchanged = inprocess.DEMO.replace(GOOD, "acme.x").replace("acme.public.stores", "acme.x").replace("acme.x", SECRET)
        (directory / "policy.json.shadow").write_text(exchanged)
        gateway = processes.gateway(MODULE[0], "routing.conf", MODULE[2], directory, processes.free_port(), upstream.port, FILES, policy)
        with contextlib.ExitStack() as stack:
            stack.callback(gateway.stop)
            locations(gateway.port, upstream)
            server_answers(gateway.second, upstream)
            headers(gateway.port, upstream)
            bodies(gateway.port, upstream)
            reports(gateway.port, directory)
            reloads(gateway, directory, policy)
        configurations(directory, upstream)
    print(f"{MODULE[0]}: {len(LOCATIONS)} ways to route a request, bodies, headers, logs, wrong configurations", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.exit(f"{len(drive.problems)} problems" if drive.problems else 0)
