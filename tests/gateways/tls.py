"""Runs every gateway with TLS and HTTP/2, changed as docs/gateways.md says: tests/gateways/tls.py PORTCULLIS [GATEWAY…]."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import processes
from upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD, SECRET = "acme.public.stores", "acme.private.stores"
problems = []


def check(is_right, *words):
    if not is_right:
        problems.append(" ".join(str(word) for word in words))
        print("FAIL", problems[-1][:600], flush=True)


def changed(text, diff):
    """The text of a file with the changes of a block of the documentation."""
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    side = lambda sign: "".join(f"{line}\n" for mark, line in lines if mark in (" ", sign))
    old, new = side("-"), side("+")
    if text.count(old) != 1:
        raise SystemExit(f"docs/gateways.md changes what no file has:\n{old}")
    return text.replace(old, new)


def examples(directory):
    """Copies the examples, with the documented changes, and makes a certificate beside them."""
    for source in processes.EXAMPLES.iterdir():
        (directory / source.name).write_text(source.read_text())
    documentation = (ROOT / "docs" / "gateways.md").read_text()
    blocks = re.findall(r"<!-- tls: ([^>]+) -->\n```diff\n(.*?)```", documentation, re.DOTALL)
    for files, diff in blocks:
        for file in files.split():
            (directory / file).write_text(changed((directory / file).read_text(), diff))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", directory / "tls.key", "-out", directory / "tls.crt"],
                   check=True, capture_output=True)
    (directory / "tls.pem").write_text((directory / "tls.crt").read_text() + (directory / "tls.key").read_text())
    changes = {file for files, _ in blocks for file in files.split()}
    check({file for _, file, _, _ in [*processes.GATEWAYS, *processes.IN_PROCESS]} <= changes, "no change is documented for some of", processes.GATEWAYS)


def send(port, table, headers=(), body=None, version="--http2", method="GET"):
    """Sends a request by curl; returns status and version of HTTP. A body of HTTP/2 comes without a length."""
    command = ["curl", "-sk", version, "-m", "10", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "-X", method,
               "-H", "authorization: Bearer demo-store-map", "-H", "referer: https://www.example.com/"]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    if body is not None:
        command += ["-H", "content-type: application/json", "-H", "content-length:", "--data-binary", body]
    table = f"?name={table}" if table else ""
    result = subprocess.run([*command, f"https://127.0.0.1:{port}/v3/maps/carto_dw/table{table}"], capture_output=True, text=True)
    status, _, version = result.stdout.partition(" ")
    return int(status or 0), version


def wait(name, port):
    """Waits until a gateway answers: Traefik listens before it has read its certificate and its routes."""
    deadline = time.monotonic() + 20
    while send(port, SECRET)[0] != 403:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} does not answer")
        time.sleep(0.1)


def try_out(name, port, has_body, upstream):
    """Requests in HTTP/2 and HTTP/1.1, and what HTTP/2 can say otherwise than HTTP/1.1."""
    def reached(*arguments, **options):
        before = len(upstream.seen)
        answer = send(port, *arguments, **options)
        return answer, upstream.seen[before:]

    for version, number in (("--http2", "2"), ("--http1.1", "1.1")):
        answer, seen = reached(GOOD, version=version)
        check(answer == (200, number) and len(seen) == 1, name, version, "should pass:", answer)
        answer, seen = reached(SECRET, version=version)
        check(answer == (403, number) and not seen, name, version, "should be denied:", answer)
    secret = json.dumps({"name": SECRET})
    for method in ("GET", "POST", "OPTIONS"):
        answer, seen = reached(GOOD, body=secret, method=method)
        check(not any(SECRET in each["body"] for each in seen), name, method, "passes on a body that was not checked:", answer, seen)
    answer, seen = reached(None, body=json.dumps({"name": GOOD}), method="POST")
    # HAProxy checks only bodies of a known length.
    is_checked = has_body and name != "haproxy"
    check((answer[0] == 200) == is_checked and len(seen) == is_checked, name, "a body without a length:", answer, seen)
    for header in (("x_portcullis_token_id", "root"), ("x-portcullis-token-id", "root"), ("x-http-method-override", "DELETE"),
                   ("x_http_method_override", "DELETE"), ("x-original-url", f"/v3/maps/carto_dw/table?name={SECRET}")):
        answer, seen = reached(GOOD, [header])
        for each in seen:
            check("root" not in str(each["headers"]) and "DELETE" not in str(each["headers"]) and SECRET not in str(each["headers"]),
                  name, "passes on", header, each["headers"])
    print(f"{name}: TLS, HTTP/2 and HTTP/1.1", flush=True)


def drive(binary, wanted, directory):
    changed_examples = directory / "examples"
    changed_examples.mkdir()
    examples(changed_examples)
    processes.EXAMPLES = changed_examples
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        port = processes.free_port()
        policy = ROOT / "examples" / "policy.json"
        server = processes.portcullis(binary, policy, port, directory)
        stack.callback(server.stop)
        for name, file, command, has_body in [*processes.GATEWAYS, *processes.IN_PROCESS]:
            if not wanted or name in wanted:
                gateway = processes.gateway(name, file, command, directory, port, upstream.port, policy=policy)
                stack.callback(gateway.stop)
                wait(name, gateway.port)
                try_out(name, gateway.port, has_body, upstream)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        drive(sys.argv[1], sys.argv[2:], pathlib.Path(scratch))
    sys.exit(f"{len(problems)} problems" if problems else 0)
