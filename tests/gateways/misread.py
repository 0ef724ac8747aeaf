"""Sends mutations of real requests through every gateway, and replays what reaches the upstream to real readers.

No reader may read a source that is not granted to the token, nor see a token or a token id that was not decided.
"""

import collections
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import client
import mutations
import processes
import readers
import tls
from recorder import Recorder, values

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What gateways add or clients send in any spelling, and no reader reads.
NOISE = re.compile(rb"x-request-id|x-forwarded-.*|x-envoy-.*|x-real-ip|via|user-agent|accept.*|sec-fetch-.*|traceparent|"
                   rb"host|x-portcullis-generation|x-case|origin|cache-control|x-app")
NAMED_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{1,49}[a-z0-9]")
# Problems of each kind that are printed.
SHOWN = 3
problems = collections.defaultdict(list)


def problem(kind, *words):
    problems[kind].append(" ".join(str(word) for word in words))
    if len(problems[kind]) <= SHOWN:
        print("FAIL", kind, problems[kind][-1][:900], flush=True)


class Passed:
    """A request that reached the upstream: through which gateways, and what the client had sent."""

    def __init__(self, raw, request):
        self.raw, self.request, self.gateways = raw, request, collections.Counter()

    def ids(self):
        return [
            value.strip().decode("latin-1") for value in values(self.raw.partition(b"\r\n\r\n")[0], b"x-portcullis-token-id")
            if value.strip()
        ]


def key_of(raw, request):
    """Returns what two requests have in common that every reader reads alike."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = collections.defaultdict(list)
    for line in lines:
        name, _, value = line.partition(b":")
        if not NOISE.fullmatch(name.lower()):
            headers[name.lower().replace(b"_", b"-")].append((b"_" in name, value.strip()))
    return first, tuple(sorted((name, tuple(each)) for name, each in headers.items())), body, tuple(request.tokens)


TRUSTING = client.trusting()
UNKNOWN = mutations.Request("no known request", "", "", [], None, [])


class Arrived:
    """All that reached the upstreams, without repetitions."""

    def __init__(self):
        self.passed, self.count = {}, collections.Counter()

    def add(self, gateway, recorder, requests):
        seen, tunnels = recorder.take()
        for head, more in tunnels:
            problem(f"{gateway} opens a tunnel", head[:300], "then", more[:80])
        for raw in seen:
            named = b",".join(values(raw.partition(b"\r\n\r\n")[0], b"connection")).lower().split(b",")
            # The next proxy would remove the headers that it names, after the check.
            if {name.strip() for name in named} - {b"", b"close", b"keep-alive"}:
                problem(f"{gateway} passes on a Connection", raw[:300])
            case = values(raw.partition(b"\r\n\r\n")[0], b"x-case")
            request = requests[int(case[0])] if len(case) == 1 and case[0].isdigit() else UNKNOWN
            request = request[0] if isinstance(request, tuple) else request
            passed = self.passed.setdefault(key_of(raw, request), Passed(raw, request))
            passed.gateways[gateway] += 1
            self.count[gateway] += 1


class Policy:
    """What the tokens may read: Portcullis decides, by its native endpoint, about what readers report."""

    def __init__(self, definition, port):
        self.port, self.decided = port, {}
        self.ids = {token["token"]: token["id"] for token in definition["tokens"]}
        self.sites = {token["token"]: token.get("referers", []) for token in definition["tokens"]}

    def ask(self, reads):
        """Asks for a decision about each pair of a token and a read."""
        new = sorted({key for key in reads if key not in self.decided})
        for at in range(0, len(new), 200):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            with contextlib.closing(connection):
                asked = [self.question(token, *read) for token, read in new[at:at + 200]]
                connection.request("POST", "/v1/decide", json.dumps(asked), {"content-type": "application/json"})
                answers = json.load(connection.getresponse())
            if len(answers) != len(asked):
                raise SystemExit(f"the native endpoint is not answered: {answers}")
            for key, answer in zip(new[at:at + 200], answers):
                self.decided[key] = answer.get("decision") == "allow"

    def question(self, token, api, kind, connection, text):
        if kind == "q":
            kind = "named_source" if NAMED_SOURCE.fullmatch(text) else "query"
        clean = lambda text: text.encode("utf-8", "replace").decode()
        question = {
            "token": token, "api": "sql" if api == "model" else api, "connection": clean(connection),
            "sources": [{kind: clean(text)}]
        }
        if api == "model":
            question["operation"] = "model"
        if self.sites.get(token):
            question["referer"] = self.sites[token][0]
        return question

    def is_granted(self, tokens, read):
        return bool(tokens) and all(self.decided[token, read] for token in tokens)

    def accepts_referers(self, token, raw):
        """Whether each site that the request may be taken to come from is one of the token's."""
        sites = self.sites.get(token)
        referers = [
            each.strip() for value in values(raw.partition(b"\r\n\r\n")[0], b"referer")
            for each in re.split(r",\s*(?=https?:)", value.decode("latin-1")) if each
        ]
        return not sites or bool(referers) and all(any(referer.startswith(site) for site in sites) for referer in referers)


def through(gateway, recorder, requests, arrived, send):
    """Sends requests through a gateway; returns the statuses."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda case: send(gateway, requests[case], case), sorted(requests)))
    # A request that the client gave up may still arrive.
    time.sleep(0.2)
    arrived.add(gateway.name, recorder, requests)
    return statuses


def send1(gateway, request, case):
    return client.exchange(gateway.port, request.bytes(case))[0]


def send2(gateway, request, case):
    """Sends a request in HTTP/2: one of the corpus, or one with changes that only HTTP/2 can say."""
    is_other = isinstance(request, tuple)
    request, change, body, trailers = request if is_other else (request, lambda fields: fields, request.body, None)
    # Clients may leave out the length; browsers do not.
    is_mutation = is_other or ":" in request.label
    fields = change(request.fields(case, has_length=not (is_other or request.chunked or is_mutation and case % 5 == 4)))
    return gateway.client2.exchange(fields, body or b"", trailers)[0]


def judge(arrived, found, policy, complain=problem):
    """Compares what readers read with what is granted; returns a table of gateway and reader."""
    table = collections.defaultdict(lambda: [0, 0, 0])
    reads = {(token, tuple(read))
             for passed in arrived.passed.values()
             for token in passed.request.tokens
             for report in found[id(passed)].values() if report for read in report["reads"] if read[3]}
    policy.ask(reads)
    for passed in arrived.passed.values():
        request, ids = passed.request, passed.ids()
        expected = {policy.ids.get(token) for token in request.tokens}
        gateways = ", ".join(passed.gateways)
        if len(ids) > 1 or not set(ids) <= expected:
            complain("a token's id is not the decided one", ids, "through", gateways, request.label, passed.raw[:600])
        for token in request.tokens:
            if not policy.accepts_referers(token, passed.raw):
                complain("a referer is not one of the token's", "through", gateways, request.label, passed.raw[:600])
        for reader, report in found[id(passed)].items():
            wrong = []
            if report:
                wrong += [("reads", read) for read in report["reads"]
                          if read[3] and not policy.is_granted(request.tokens, tuple(read))]
                if report["token_id"] not in ("", *ids) or report["reads"] and not report["token_id"]:
                    wrong.append(("sees the id", report["token_id"]))
                decided = [token for token in request.tokens if policy.ids.get(token) in ids]
                wrong += [("sees the token", token) for token in set(report["tokens"]) - set(decided) if report["reads"]]
            for gateway, count in passed.gateways.items():
                cell = table[gateway, reader]
                cell[0] += count
                cell[1] += count if report else 0
                cell[2] += count if wrong else 0
            if wrong:
                complain(f"{reader} {wrong[0][0]} what is not granted", wrong, "through", gateways, request.label,
                         passed.raw[:600])
    return table


def read(arrived, services):
    """Replays each request to each reader; returns the reports."""
    passed = list(arrived.passed.values())
    found = {id(each): {} for each in passed}
    with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
        for service, reports in zip(services, pool.map(lambda service: service.reports([each.raw for each in passed]), services)):
            for each, report in zip(passed, reports):
                found[id(each)][service.name] = report
    return found


def control(arrived, found, gateways, expects):
    """Checks that original requests pass each gateway that can check them, and that each reader reads what they mean."""
    for gateway in gateways:
        reached = {each.request.label for each in arrived.passed.values() if gateway.name in each.gateways}
        wanted = {label for label, (request, _) in expects.items() if gateway.has_body or request.body is None}
        if reached != wanted:
            problem("a control", gateway.name, "does not pass", sorted(wanted - reached), "and passes", sorted(reached - wanted))
    for each in arrived.passed.values():
        expect = expects[each.request.label][1]
        wanted = {tuple(source.values()) for source in expect["sources"]}
        for reader, report in found[id(each)].items():
            got = {(text, )
                   for _, _, connection, text in report["reads"] if connection == expect["connection"]} if report else None
            if got != wanted or report["method"] != each.request.method:
                problem("a control", reader, "does not read", each.request.label, report, expect["sources"], each.raw[:300])


def show(title, table, services):
    names = [service.name for service in services]
    print(f"\n{title}: requests that reached the upstream, read / reads that are not granted", flush=True)
    print("".ljust(18) + "passed".rjust(8) + "".join(name.rjust(13) for name in names))
    for gateway in dict.fromkeys(gateway for gateway, _ in table):
        cells = [table[gateway, name] for name in names]
        print(gateway.ljust(18) + str(cells[0][0]).rjust(8) + "".join(f"{cell[1]}/{cell[2]}".rjust(13) for cell in cells))


class AllowAll(BaseHTTPRequestHandler):
    """A check that denies nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.reply(200, b"")

    def reply(self, status, body, *headers):
        # A connection that is kept would be used once Portcullis is there.
        self.close_connection = True
        self.send_response(status)
        for name, value in (*headers, ("connection", "close"), ("content-length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_PATCH = do_DELETE = do_QUERY = answer

    def log_message(self, *_):
        pass


class Listening(ThreadingHTTPServer):
    daemon_threads, request_queue_size, allow_reuse_address = True, 128, True

    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def serving(handler, port):
    server = Listening(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def wait(gateway, send):
    """Waits until a gateway answers by its routes: Traefik listens before it has read them."""
    request, _ = mutations.controls()[0]
    deadline = time.monotonic() + 20
    while send(gateway, request, 0) in (0, 404):
        if time.monotonic() > deadline:
            raise SystemExit(f"{gateway.name} does not answer")
        time.sleep(0.1)


def self_test(gateway, recorder, port, services):
    """Returns what passes where the check allows all, and what readers read of it."""
    arrived = Arrived()
    with serving(AllowAll, port):
        through(gateway, recorder, dict(enumerate([*mutations.known(), *mutations.corpus()[::20]])), arrived, send1)
    return arrived, read(arrived, services)


def check_self_test(policy, arrived, found, services):
    """Each reader must be found to read what is not granted: the stage can fail."""
    kinds = collections.Counter()
    judge(arrived, found, policy, lambda kind, *_: kinds.update([kind]))
    for kind in [*(f"{service.name} reads what is not granted" for service in services), "php sees the id what is not granted"]:
        if not kinds[kind]:
            problem("the self-test", "a check that allows all is not found:", kind)
    print("self-test, with a check that allows all:",
          ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())),
          flush=True)


def drive(binary, wanted, directory):
    begun = time.monotonic()
    say = lambda *words: print(f"[{time.monotonic() - begun:4.0f} s]", *words, flush=True)
    definition = mutations.policy()
    # Workers of nginx are another user, who reads the policy.
    directory.chmod(0o755)
    path = directory / "policy.json"
    path.write_text(json.dumps(definition))
    port = processes.free_port()
    with contextlib.ExitStack() as stack:
        services = readers.start(stack, directory)
        first, second, recorders = [], [], {}

        with_tls = directory / "examples"
        with_tls.mkdir()
        tls.examples(with_tls)

        def start(name, of, examples):
            recorders[name] = stack.enter_context(Recorder())
            _, file, command, has_body = of
            gateway = processes.gateway(name, file, command, directory, port, recorders[name].port, examples, path)
            stack.callback(gateway.stop)
            gateway.name, gateway.has_body = name, has_body
            gateway.client2 = client.Client2(gateway.port, TRUSTING)
            stack.callback(gateway.client2.close)
            return gateway

        for each in [*processes.GATEWAYS, *processes.IN_PROCESS]:
            if not wanted or each[0] in wanted:
                first.append(start(each[0], each, processes.EXAMPLES))
                second.append(start(f"{each[0]}-tls", each, with_tls))
        for gateways, send in ((first, send1), (second, send2)):
            for gateway in gateways:
                wait(gateway, send)
                recorders[gateway.name].take()
        say(f"{len(services)} readers and {len(first)} gateways are up, each with TLS and without")
        # This check speaks neither gRPC nor SPOP. A gateway with the engine inside asks nobody.
        silent = ["envoy-grpc", "haproxy-spoe", *(name for name, *_ in processes.IN_PROCESS)]
        asks_by_http = next((gateway for gateway in reversed(first) if gateway.name not in silent), None)
        tested = self_test(asks_by_http, recorders[asks_by_http.name], port, services) if asks_by_http else None
        server = processes.portcullis(binary, path, port, directory)
        stack.callback(server.stop)
        policy = Policy(definition, port)

        def all_through(gateways, requests, arrived, send):
            with concurrent.futures.ThreadPoolExecutor(len(gateways)) as pool:
                list(pool.map(lambda gateway: through(gateway, recorders[gateway.name], requests, arrived, send), gateways))

        def stage(title, gateways, corpus, send):
            arrived = Arrived()
            all_through(gateways, dict(enumerate(corpus)), arrived, send)
            say(f"{title}: {len(corpus)} mutations through {len(gateways)} gateways:",
                f"{sum(arrived.count.values())} reached an upstream, {len(arrived.passed)} of them different")
            show(title, judge(arrived, read(arrived, services), policy), services)
            say("read")
            return arrived

        if tested:
            check_self_test(policy, *tested, services)
        expects = {request.label: (request, expect) for request, expect in mutations.controls()}
        mutated = [*mutations.known(), *mutations.corpus()]
        for title, gateways, send, corpus in (("HTTP/1.1", first, send1, mutated),
                                              ("HTTP/2 over TLS", second, send2, [*mutated[::5], *mutations.second_version()])):
            plain = Arrived()
            all_through(gateways, dict(enumerate(request for request, _ in expects.values())), plain, send)
            found = read(plain, services)
            control(plain, found, gateways, expects)
            judge(plain, found, policy)
            stage(title, gateways, corpus, send)
        # Where the upstream answers preflights, they reach it undecided.
        server.stop()
        server = processes.portcullis(binary, path, port, directory, "--pass-preflights")
        stack.callback(server.stop)
        claims = [request for request in mutated if "preflight" in request.label]
        arrived = stage("preflights that pass", second, claims[::2], send2)
        arrived.passed.update(stage("preflights that pass, HTTP/1.1", first, claims, send1).passed)
        if not wanted and not arrived.passed:
            problem("a control", "no preflight passes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        drive(sys.argv[1], sys.argv[2:], pathlib.Path(scratch))
    for kind, found in problems.items():
        print(f"{len(found)} × {kind}")
    sys.exit(f"{sum(map(len, problems.values()))} problems" if problems else 0)
