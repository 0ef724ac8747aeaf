"""Runs HAProxy with SPOE: tests/gateways/spoe.py PORTCULLIS [GATEWAY…].

- Bodies up to a frame, repeated headers, rewritten paths.
- `kill -9` of Portcullis under load: nothing opens, and its successor is used at once.
- An agent that is missing, slow, damaged or wrong: every request is denied with 503.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

import client
import demo
import drive
import endurance
import processes
from demo import GOOD, HEADERS, PATH, SECRET, ask
from upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAY = next(each for each in processes.GATEWAYS if each[0] == "haproxy-spoe")


# HAProxy's side of the protocol is HAProxy's own; this is the other side.


def varint(value):
    if value < 240:
        return bytes([value])
    out, value = [value & 0xFF | 0xF0], (value - 240) >> 4
    while value >= 128:
        out.append(value & 0xFF | 0x80)
        value = (value - 128) >> 7
    return bytes([*out, value])


def read_varint(data, at):
    value, at = data[at], at + 1
    if value >= 240:
        shift = 4
        while True:
            value += data[at] << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                break
    return value, at


def string(text):
    return varint(len(text)) + text


def text(value):
    return b"\x08" + string(value)


def frame(kind, payload, stream=0, number=0):
    content = bytes([kind, 0, 0, 0, 1]) + varint(stream) + varint(number) + payload
    return struct.pack(">I", len(content)) + content


def variable(name, value, scope=2):
    return bytes([1, 3, scope]) + string(name) + value


ALLOW = variable(b"token_id", text(b"store-map")) + variable(b"generation", b"\x03\x01") + variable(b"decision", text(b"allow"))
HELLO = frame(101, string(b"version") + text(b"2.0") + string(b"max-frame-size") + b"\x03" + varint(16380)
              + string(b"capabilities") + text(b"pipelining"))


class Agent:
    """An agent that answers each request with the frames that `answers` makes from its ids."""

    def __init__(self, port, answers, hello=HELLO):
        self.answers, self.hello, self.asked = answers, hello, 0
        self.listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, struct.error, IndexError), connection, connection.makefile("rb") as received:
            while True:
                (length,) = struct.unpack(">I", received.read(4))
                content = received.read(length)
                if content[0] == 1:
                    connection.sendall(self.hello)
                elif content[0] == 3:
                    stream, at = read_varint(content, 5)
                    number, _ = read_varint(content, at)
                    self.asked += 1
                    answer = self.answers(stream, number)
                    if answer is None:
                        return
                    connection.sendall(answer)

    def stop(self):
        for each in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def late(stream, number):
    time.sleep(1.5)
    return frame(103, ALLOW, stream, number)


# What an agent may answer, and whether that is a request to forward.
ANSWERS = {
    "an allow": (lambda stream, number: frame(103, ALLOW, stream, number), 200),
    "an allow without the id of a token": (lambda stream, number: frame(103, variable(b"decision", text(b"allow")), stream, number), 200),
    "no variable": (lambda stream, number: frame(103, b"", stream, number), 503),
    "no decision": (lambda stream, number: frame(103, variable(b"token_id", text(b"a")), stream, number), 503),
    "another decision": (lambda stream, number: frame(103, variable(b"decision", text(b"allowed")), stream, number), 503),
    "an empty decision": (lambda stream, number: frame(103, variable(b"decision", text(b"")), stream, number), 503),
    "a decision without a value": (lambda stream, number: frame(103, variable(b"decision", b"\x00"), stream, number), 503),
    "a decision that is true": (lambda stream, number: frame(103, variable(b"decision", b"\x11"), stream, number), 503),
    "a decision of the session": (lambda stream, number: frame(103, variable(b"decision", text(b"allow"), 1), stream, number), 503),
    "a decision of the process": (lambda stream, number: frame(103, variable(b"decision", text(b"allow"), 0), stream, number), 503),
    "a denial with an unknown status": (lambda stream, number: frame(103, variable(b"status", b"\x03\x6f") + variable(b"decision", text(b"deny")), stream, number), 503),
    "a denial without a status": (lambda stream, number: frame(103, variable(b"decision", text(b"deny")), stream, number), 503),
    "an allow that is cut": (lambda stream, number: frame(103, ALLOW[:-1], stream, number), 503),
    "an allow after bytes that are no action": (lambda stream, number: frame(103, b"\x09" + ALLOW, stream, number), 503),
    "the id of another request": (lambda stream, number: frame(103, ALLOW, stream + 1, number), 503),
    "the number of another frame": (lambda stream, number: frame(103, ALLOW, stream, number + 1), 503),
    "a disconnection": (lambda stream, number: frame(102, string(b"status-code") + b"\x03\x63" + string(b"message") + text(b"no")), 503),
    "a frame of an unknown type": (lambda stream, number: frame(77, ALLOW, stream, number), 503),
    "a frame that is too long": (lambda stream, number: struct.pack(">I", 1 << 30) + b"x" * 100, 503),
    "bytes that are no frame": (lambda stream, number: b"HTTP/1.1 200 OK\r\n\r\n", 503),
    "a closed connection": (lambda stream, number: None, 503),
    "an answer that is late": (late, 503),
}


def watched(gateway, agent):
    """Waits until HAProxy's health check has found the agent."""
    endurance.until("the agent is found", lambda: ask(gateway.port, f"{PATH}?name={GOOD}") and agent.asked, 5)


def wrong_agents(gateway, upstream, port):
    for what, (answers, expected) in ANSWERS.items():
        agent = Agent(port, answers)
        watched(gateway, agent)
        for _ in range(2):
            before, asked = len(upstream.seen), agent.asked
            status, _, body = ask(gateway.port, f"{PATH}?name={GOOD}")
            seen = upstream.settled(before)
            drive.check(agent.asked > asked, what, "is not asked")
            drive.check(status == expected and len(seen) == (expected == 200), what, "is answered", status, body[:200], len(seen))
            drive.check(expected == 200 or json.loads(body)["reason"] == "policy_unavailable", what, "gives", body[:200])
        agent.stop()
    for what, hello in {"another version": HELLO.replace(b"2.0", b"9.0"), "no introduction": b"", "an HTTP answer": b"HTTP/1.1 400 Bad\r\n\r\n"}.items():
        agent = Agent(port, ANSWERS["an allow"][0], hello)
        time.sleep(0.7)
        before = len(upstream.seen)
        status, _, _ = ask(gateway.port, f"{PATH}?name={GOOD}")
        drive.check(status == 503 and not upstream.settled(before), what, "is answered", status)
        agent.stop()
    print(f"haproxy-spoe: {len(ANSWERS)} answers of an agent", flush=True)


def variables_end(gateway, upstream, port):
    """A decision is that of one request: the next one on the same connection has none."""
    answers = []
    agent = Agent(port, lambda stream, number: frame(103, answers.pop(0) if answers else b"", stream, number))
    watched(gateway, agent)
    answers += [ALLOW, b"", ALLOW, b""]
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for expected in (200, 503, 200, 503):
        connection.request("GET", f"{PATH}?name={GOOD}", headers=HEADERS)
        answer = connection.getresponse()
        answer.read()
        drive.check(answer.status == expected, "a request on a used connection is answered", answer.status)
    connection.close()
    agent.stop()


def bodies(port, upstream):
    def post(body):
        status, _, answer = ask(port, PATH, "POST", body)
        return status, answer

    for size in (10, 5_000, 100_000, 120_000):
        demo.whole_bodies(upstream, "a body of", size, post)
    # Above the buffer, and in the last bytes of the buffer and of a frame: denied with a reason, or checked whole.
    for size in [129_000, *range(129_500, 131_300, 60), 140_000, 500_000]:
        body = json.dumps({"padding": "x" * size, "name": SECRET})
        before = len(upstream.seen)
        status, _, answer = ask(port, PATH, "POST", body)
        reason = json.loads(answer)["reason"] if answer.startswith(b"{") else answer[:200]
        drive.check((status, reason) in ((413, "body_too_large"), (403, "source_not_granted")) and not upstream.settled(before), size,
                    "bytes are answered", status, reason)
        # Other requests have not lost their connection to the agent.
        drive.check(ask(port, f"{PATH}?name={GOOD}")[0] == 200, "after", size, "bytes nothing passes")
    # Long headers, up to the buffer.
    for size in (1_000, 20_000, 60_000, 70_000, 120_000):
        before = len(upstream.seen)
        status, _, answer = ask(port, f"{PATH}?name={SECRET}", more=[("x-long", "x" * size)])
        drive.check(status in (400, 403, 413, 431) and not upstream.settled(before), "a header of", size, "is answered", status, answer[:200])
    # A part of a body, and a body in chunks, which may have trailers.
    line = demo.head("POST", PATH, "Content-Type: application/json")
    text = json.dumps({"name": GOOD})
    chunks = f"Transfer-Encoding: chunked\r\n\r\n{len(text):x}\r\n{text}\r\n0\r\n"
    for what, rest, expected in (("a part", f"Content-Length: 100\r\n\r\n{text}", {0, 408}), ("chunks", chunks + "\r\n", {400, 411}),
                                 ("trailers", chunks + "X-Portcullis-Token-Id: root\r\n\r\n", {400, 411})):
        before = len(upstream.seen)
        status, answer = client.exchange(port, (line + rest).encode(), timeout=1)
        drive.check(status in expected and not upstream.settled(before), what, "of a body is answered", status, answer[:200])
    print("haproxy-spoe: bodies", flush=True)


def rewritten(port, upstream):
    """A rule above the check changes the path: Portcullis decides about the path that the upstream receives."""
    for name, expected in ((GOOD, 200), (SECRET, 403)):
        before = len(upstream.seen)
        status, _, body = ask(port, f"/alias/maps/carto_dw/table?name={name}")
        seen = upstream.settled(before)
        drive.check(status == expected and [each["path"] for each in seen] == [f"{PATH}?name={name}"] * (expected == 200),
                    "a rewritten path is answered", status, body[:200], seen)


def kills(binary, gateway, directory, port):
    """Portcullis is killed under load, and starts again. No wrong answer, and its successor is used at once."""
    policy = directory / "policy.json"
    policy.write_text(endurance.policy(True))
    server = processes.portcullis(binary, policy, port, directory)
    ready = lambda: endurance.ask(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10), "always") == 200
    longest = 0
    with endurance.Load(gateway.port) as load:
        for _ in range(5):
            time.sleep(0.5)
            os.kill(server.child.pid, signal.SIGKILL)
            server.child.wait()
            time.sleep(0.3)
            server = processes.portcullis(binary, policy, port, directory)
            begun = time.monotonic()
            endurance.until("requests pass after a restart", ready)
            longest = max(longest, time.monotonic() - begun)
        # An ordinary stop answers what it has received.
        server.stop()
        time.sleep(0.3)
    expected = {("always", 200), ("always", 503), ("never", 403), ("never", 503), ("turns", 200), ("turns", 503)}
    wrong = {answer: count for answer, count in load.counts.items() if answer not in expected}
    drive.check(not wrong and all(load.counts.get(answer) for answer in expected), "`kill -9` gives", load.counts)
    drive.check(longest < 2, "after a restart requests pass after", longest, "s")
    print(f"haproxy-spoe: Portcullis is killed 5 times, {sum(load.counts.values())} answers", flush=True)


def main(binary, wanted):
    if wanted and WAY[0] not in wanted:
        return
    with tempfile.TemporaryDirectory() as scratch, Upstream() as upstream, contextlib.ExitStack() as stack:
        directory = pathlib.Path(scratch)
        examples = directory / "examples"
        examples.mkdir()
        for file in (WAY[1], "portcullis-spoe.cfg"):
            rule = "    http-request send-spoe-group"
            alias = "    http-request replace-path /alias/(.*) /v3/\\1\n"
            (examples / file).write_text((processes.EXAMPLES / file).read_text().replace(rule, alias + rule))
        port = processes.free_port()
        gateway = processes.gateway(*WAY[:3], directory, port, upstream.port, examples)
        stack.callback(gateway.stop)
        wrong_agents(gateway, upstream, processes.spoe_port(port))
        variables_end(gateway, upstream, processes.spoe_port(port))
        server = processes.portcullis(binary, ROOT / "examples" / "policy.json", port, directory)
        drive.found(gateway.port, {"method": "GET", "url": f"{PATH}?name={GOOD}", "headers": HEADERS, "body": None})
        bodies(gateway.port, upstream)
        demo.repeated_headers(gateway.port)
        rewritten(gateway.port, upstream)
        server.stop()
        kills(binary, gateway, directory, port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
    sys.exit(f"{len(drive.problems)} problems" if drive.problems else 0)
