"""Runs gateways whose check changes between two requests: a denial must stay a denial.

nginx asks twice where `error_page` re-enters a location. An allow as the second answer must not reach the client. With the
engine inside, the same holds while the gateway reads one policy after another.
"""

import collections
import contextlib
import itertools
import json
import os
import pathlib
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import client
import misread
import processes
from recorder import Recorder

REQUEST = (b"GET /v3/maps/dw/table?name=acme.public.stores HTTP/1.1\r\nHost: 127.0.0.1\r\n"
           b"Authorization: Bearer other-secret\r\nConnection: close\r\n\r\n")
SWAPS, ASKING = 6, 8
# The examples with the engine inside check the policy often, and re-enter nginx after each error.
OFTEN = [(f"portcullis_policy {processes.POLICY};", f"portcullis_policy {processes.POLICY};\n    portcullis_poll_interval 10ms;"),
         (f'policy = "{processes.POLICY}",', f'policy = "{processes.POLICY}", poll_interval = 0.01,'),
         (f"policy: {processes.POLICY}\n", f"policy: {processes.POLICY}\n                  poll_milliseconds: 10\n"),
         ("            proxy_pass http://apis;\n", "            proxy_pass http://apis;\n"
          "            proxy_intercept_errors on;\n            error_page 400 401 403 404 500 503 = @again;\n"),
         ("    server {\n", "    server {\n        location @again { proxy_pass http://apis; }\n")]
problems = []


class Fickle(misread.AllowAll):
    """Denies and allows in turn, as a policy does that changes between two questions."""

    turns = itertools.count()

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        is_denial = next(self.turns) % 2 == 0
        body = b'{"error": "no", "reason": "source_not_granted"}' if is_denial else b""
        self.reply(403 if is_denial else 200, body, ("content-type", "application/json"), ("x-portcullis-token-id", "swapped"))

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_PATCH = answer


def check(name, what, answers):
    """An answer is the upstream's own, or a denial with a reason."""
    counted = collections.Counter()
    for status, body in answers:
        is_upstream = status == 200 and body.startswith(b"upstream")
        is_denial = 400 <= status < 600 and (status not in (401, 403) or b'"reason"' in body)
        counted[status] += 1
        if not is_upstream and not is_denial:
            problems.append(f"{name}, {what}: {status} {body[:100]}")
    print(f"{name}, {what}: {', '.join(f'{count} × {status}' for status, count in sorted(counted.items()))}", flush=True)
    return counted


def swaps(path, stop):
    """Lets the token read the table, and not, over and over."""
    token = {"id": "swapped", "token": "other-secret", "allowed_apis": ["maps"]}
    for at in itertools.count():
        source = "acme.public.stores" if at % 2 else "acme.public.other"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"tokens": [{**token, "grants": [{"connection_name": "dw", "source": source}]}]}))
        os.replace(new, path)
        if stop.wait(0.1):
            return


def often(directory):
    """Writes the examples, changed by `OFTEN`, and returns their folder."""
    directory.mkdir()
    for example in processes.EXAMPLES.iterdir():
        text = example.read_text()
        for old, new in OFTEN if example.name in {file for _, file, _, _ in processes.IN_PROCESS} else ():
            text = text.replace(old, new)
        (directory / example.name).write_text(text)
    return directory


def asked(port, seconds):
    """The answers to clients that ask for so long."""
    deadline = time.monotonic() + seconds

    def asks(_):
        answers = []
        while time.monotonic() < deadline:
            answers.append(client.exchange(port, REQUEST))
        return answers

    with ThreadPoolExecutor(ASKING) as pool:
        return [each for answers in pool.map(asks, range(ASKING)) for each in answers]


def check_swaps(name, port, seconds):
    counted = check(name, "while the policy is swapped", asked(port, seconds))
    if not counted[200] or not counted[403]:
        problems.append(f"{name}: the policy is not swapped: {counted}")


def drive(binary, wanted, directory):
    port = processes.free_port()
    path = directory / "policy.json"
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder())
        gateways = []
        for name, file, command, _ in processes.GATEWAYS:
            if not wanted or name in wanted:
                gateway = processes.gateway(name, file, command, directory, port, recorder.port)
                stack.callback(gateway.stop)
                gateways.append((name, gateway))
        with misread.serving(Fickle, port):
            for name, gateway in gateways:
                # These ask over gRPC and SPOE, which this check does not speak.
                if name in ("envoy-grpc", "haproxy-spoe"):
                    continue
                # Traefik listens before it has read its routes.
                while client.exchange(gateway.port, REQUEST)[0] == 404:
                    time.sleep(0.1)
                counted = check(name, "with a check that alternates",
                                [client.exchange(gateway.port, REQUEST) for _ in range(20)])
                if not counted[200] or not counted[403]:
                    problems.append(f"{name}: the check does not alternate: {counted}")
        swapping = threading.Thread(target=swaps, args=(path, stop))
        swapping.start()
        try:
            while not path.exists():
                time.sleep(0.01)
            server = processes.portcullis(binary, path, port, directory)
            stack.callback(server.stop)
            for name, gateway in gateways:
                check_swaps(name, gateway.port, SWAPS if name.startswith("nginx") else 1)
            examples = often(directory / "often")
            for name, file, command, _ in processes.IN_PROCESS:
                if not wanted or name in wanted:
                    gateway = processes.gateway(name, file, command, directory, port, recorder.port, examples, path)
                    stack.callback(gateway.stop)
                    check_swaps(name, gateway.port, SWAPS)
        finally:
            stop.set()
            swapping.join()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        # Workers of nginx are another user, who reads the policy.
        pathlib.Path(scratch).chmod(0o755)
        drive(sys.argv[1], sys.argv[2:], pathlib.Path(scratch))
    for problem in problems[:10]:
        print("FAIL", problem)
    sys.exit(f"{len(problems)} problems" if problems else 0)
