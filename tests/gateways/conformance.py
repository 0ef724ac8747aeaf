"""Decides the same requests through every way to use the engine: tests/gateways/conformance.py PORTCULLIS [WAY…].

The requests are those of `tests/data`: the HTTP requests, and the decisions as HTTP requests. Prints a table of ways and
cases. Fails if a way answers otherwise than the engine. The ways are the C API, the layer for Rust gateways, the sidecar
by HTTP, by gRPC and by SPOE, and each gateway with the engine inside.
"""

import collections
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import sys
import tempfile
from urllib.parse import quote

import client
import misread
import processes
from recorder import Recorder

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
# Ways that run as a server in front of the upstream. A gateway with the engine inside needs no line here.
WITH_SIDECAR = ("envoy-grpc", "haproxy-spoe")
CHECKS = ("sidecar", "envoy-grpc")
SHOWN = 20
Case = collections.namedtuple("Case", "id policy method target headers body expected")
Answer = collections.namedtuple("Answer", "allowed status reason token")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# The C API.


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("length", ctypes.c_size_t)]

    @classmethod
    def of(cls, text):
        data = text if isinstance(text, bytes) else text.encode()
        return cls(data, len(data))

    def __str__(self):
        # The field itself would end at a zero byte.
        pointer = ctypes.c_void_p.from_buffer(self).value
        return ctypes.string_at(pointer, self.length).decode() if pointer else ""


class Header(ctypes.Structure):
    _fields_ = [("name", Text), ("value", Text)]


class HttpRequest(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("method", Text), ("target", Text), ("headers", ctypes.POINTER(Header)),
                ("header_count", ctypes.c_size_t), ("body", Text), ("at", ctypes.c_void_p)]


class HttpAnswer(ctypes.Structure):
    _fields_ = [("allowed", ctypes.c_int32), ("status", ctypes.c_uint32), ("headers", ctypes.POINTER(Header)),
                ("header_count", ctypes.c_size_t), ("removed", ctypes.POINTER(Text)), ("removed_count", ctypes.c_size_t),
                ("body", Text), ("reason", Text), ("token_id", Text), ("generation", ctypes.c_uint64)]


class CApi:
    """Policies of the C API in this process."""

    def __init__(self, library):
        self.library = ctypes.CDLL(str(library))
        self.library.pcl_open_bytes.restype = ctypes.c_void_p
        self.library.pcl_open_bytes.argtypes = [Text, ctypes.c_void_p, ctypes.c_void_p]
        self.library.pcl_decide_http.restype = ctypes.POINTER(HttpAnswer)
        self.library.pcl_decide_http.argtypes = [ctypes.c_void_p, ctypes.POINTER(HttpRequest)]
        self.library.pcl_answer_free.argtypes = [ctypes.POINTER(HttpAnswer)]
        self.library.pcl_policy_free.argtypes = [ctypes.c_void_p]

    @contextlib.contextmanager
    def opened(self, document):
        policy = self.library.pcl_open_bytes(Text.of(document), None, None)
        if not policy:
            raise SystemExit("the C API does not open a policy")
        try:
            yield lambda *request: self.decided(policy, *request)
        finally:
            self.library.pcl_policy_free(policy)

    def decided(self, policy, method, target, headers, body):
        given = (Header * len(headers))(*(Header(Text.of(name), Text.of(value)) for name, value in headers))
        request = HttpRequest(ctypes.sizeof(HttpRequest), Text.of(method), Text.of(target), given, len(headers), Text.of(body or ""), None)
        answer = self.library.pcl_decide_http(policy, ctypes.byref(request))
        found = answer.contents
        try:
            return Answer(bool(found.allowed), found.status, str(found.reason), str(found.token_id))
        finally:
            self.library.pcl_answer_free(answer)


# The cases.


def http_cases():
    """The cases of `http`, for one policy that gives half of the tokens everything."""
    found = []
    for request in lines(DATA / "http" / "requests.jsonl"):
        found.append((request["id"], request["method"], request["url"], list(request["headers"].items()), request["body"]))
    for file in ("understood.json", "not-understood.json"):
        for at, case in enumerate(json.loads((DATA / "http" / file).read_text())):
            headers = [tuple(header) for header in case.get("headers") or ([("Content-Type", "application/json")] if "body" in case else [])]
            if not any(name.lower() == "authorization" for name, _ in headers):
                headers.append(("Authorization", "Bearer all"))
            found.append((f"{file}[{at}]", case.get("method", "GET"), case["url"], headers, case.get("body")))
    secrets = {value[7:] for *_, headers, _ in found for _, value in headers if re.fullmatch(r"Bearer [!-+\--~]+", value)}
    tokens = [{"id": f"t {at}", "token": secret, "allowed_apis": ["maps", "sql", "lds"],
               "grants": [{"connection_name": connection, "source": "*" if at % 2 == 0 or secret == "all" else "carto-demo-data.demo_tables.*"}
                          for connection in ("carto_dw", "dw")]} for at, secret in enumerate(sorted(secrets))]
    policy = json.dumps({"connections": [{"name": "carto_dw", "dialect": "bigquery"}], "tokens": tokens})
    return [Case(id, policy, method, target, headers, body, None) for id, method, target, headers, body in found]


def decision_cases():
    """The cases of `decisions` that an HTTP request can ask, each with its decision."""
    cases = []
    for folder in sorted((DATA / "decisions").iterdir()):
        policy = (folder / "policy.json").read_text()
        document = json.loads(policy)
        tokens = document["tokens"] if isinstance(document, dict) else document
        # The clock of a gateway is that of the system.
        expiring = {token["id"] for token in tokens if "expiration_date" in token}
        for request, decision in zip(lines(folder / "requests.jsonl"), lines(folder / "decisions.jsonl")):
            asked = asked_by_http(request)
            if not asked or decision.get("token") in expiring or decision.get("reason") == "token_expired":
                continue
            headers = [("Authorization", f"Bearer {request['token']}")] if request.get("token") else []
            headers += [("Referer", request["referer"])] if "referer" in request else []
            allowed = decision["decision"] == "allow"
            expected = Answer(allowed, 200 if allowed else decision["status"], decision.get("reason", ""), decision.get("token", ""))
            cases.append(Case(f"{folder.name}[{request['id']}]", policy, "GET", asked, headers, None, expected))
    return cases


def asked_by_http(request):
    """The target that asks for the sources of a request; `None` if none does."""
    sources = request.get("sources") or [{key: request[key]} for key in ("resource", "query", "named_source") if key in request]
    texts = [text for source in sources for text in source.values()]
    connection = request.get("connection", "")
    written = [request.get("token") or "", request.get("referer") or "", connection, *texts]
    # A header holds one line of visible text, and the reader takes only one spelling of a connection.
    if len(sources) != 1 or not all(re.fullmatch(r"[ -~]*", text) and text == text.strip() for text in written):
        return None
    ((kind, text),) = sources[0].items()
    is_named = re.fullmatch(r"[a-z0-9][a-z0-9_-]{1,49}[a-z0-9]", text) is not None
    if not re.fullmatch(r"[A-Za-z_][\w-]*", connection) or connection == "public" or not text or " " in (request.get("token") or ""):
        return None
    if kind != "resource" and is_named != (kind == "named_source"):
        return None
    value = quote(text, safe="")
    api, is_resource = request["api"], kind == "resource"
    if request.get("operation") == "model" and api == "sql":
        return f"/v3/sql/{connection}/model/m?type={'table' if is_resource else 'query'}&source={value}"
    return {
        ("maps", True): f"/v3/maps/{connection}/table?name={value}",
        ("maps", False): f"/v3/maps/{connection}/query?q={value}",
        ("sql", False): f"/v3/sql/{connection}/query?q={value}",
    }.get((api, is_resource)) if not request.get("operation") else None


# The ways.


class Way:
    """A way that is a server: it answers requests, or passes them on to an upstream."""

    def __init__(self, name, port, upstream=None):
        self.name, self.port, self.upstream = name, port, upstream

    def ask(self, case):
        """Returns the answer, and what reached the upstream: the sidecar itself has none."""
        target = case.target if self.upstream else "/authz/envoy" + case.target
        body = case.body.encode() if case.body is not None else b""
        # Clients announce that a POST has no body.
        announces = body or case.method in ("POST", "PUT", "PATCH")
        head = f"{case.method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode()
        head += b"".join(f"{name}: {value}\r\n".encode() for name, value in case.headers)
        if announces and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in case.headers):
            head += b"Content-Length: %d\r\n" % len(body)
        status, text = client.exchange(self.port, head + b"\r\n" + body)
        denial = json.loads(text) if text.startswith(b"{") else {}
        reached = self.upstream.take()[0] if self.upstream else []
        allowed = bool(reached) if self.upstream else status == 200
        return Answer(allowed, status, denial.get("reason", ""), ""), reached


@contextlib.contextmanager
def ways(binary, library, wanted, policy, directory):
    """Starts each way with a policy. Yields the answers of the C API, and the servers."""
    file = directory / "policy.json"
    file.write_text(policy)
    port = processes.free_port()
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(CApi(library).opened(policy))
        server = processes.portcullis(binary, file, port, directory)
        stack.callback(server.stop)
        started = [Way("sidecar", port)]
        example = pathlib.Path(binary).parent / "examples" / "axum_gateway"
        recorder = stack.enter_context(Recorder())
        layer = processes.free_port()
        process = processes.Process([str(example), str(file), f"127.0.0.1:{layer}", f"127.0.0.1:{recorder.port}"], layer, directory, directory / "layer.log")
        stack.callback(process.stop)
        started.append(Way("tower", layer, recorder))
        for of in [each for each in processes.GATEWAYS if each[0] in WITH_SIDECAR] + processes.IN_PROCESS:
            recorder = stack.enter_context(Recorder())
            gateway = processes.gateway(*of[:3], directory, port, recorder.port, policy=file)
            stack.callback(gateway.stop)
            started.append(Way(of[0], gateway.port, recorder))
        yield reference, [way for way in started if not wanted or way.name in wanted]


def parsed(raw):
    """A request as it reached the upstream, as the C API takes it, and the token id that it carries."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    headers = [tuple(part.strip() for part in header.split(b":", 1)) for header in headers]
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        pieces = re.findall(rb"([0-9a-fA-F]+)\r\n", body)
        body = b"".join(unchunked(body)) if pieces else body
    ids = [value for name, value in headers if name.lower() == b"x-portcullis-token-id"]
    return (method, target, headers, body), b",".join(ids).decode().replace("%20", " ")


def unchunked(body):
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        yield body[:length]
        body = body[length + 2:]


def verdict(way, case, expected, reference):
    """Compares the answer of a way: the same, refused by the server itself, changed by it before the decision, impossible to
    ask, or wrong."""
    is_asked = way.upstream or re.fullmatch("/[^#]*", case.target)
    # A check receives no difference between a POST without a body and one whose body is not passed on.
    is_asked = is_asked and not (way.name in CHECKS and case.method == "POST" and case.body is None)
    if not is_asked:
        return "unasked", ""
    answer, reached = way.ask(case)
    if way.name.startswith("envoy") and any(name.lower() == "referer" and re.search("[#@]", value) for name, value in case.headers):
        # Envoy removes a `Referer` with a fragment or with user information, which no browser sends.
        expected = reference(case.method, case.target, [header for header in case.headers if header[0].lower() != "referer"], case.body)
        return ("changed" if answer[1:3] == expected[1:3] else "wrong"), f"answers {answer}, expected {expected}"
    if answer.allowed:
        for raw in reached:
            request, token = parsed(raw)
            decided = reference(*request)
            if not decided.allowed or decided.token != token:
                return "wrong", f"passes what is denied as it arrived: {decided}, {raw[:300]}"
        return ("same" if expected.allowed else "changed" if reached else "wrong"), f"passes what is denied: {expected}"
    if expected.allowed:
        return "wrong", f"denies with {answer} what is allowed"
    if (answer.status, answer.reason) == (expected.status, expected.reason):
        return "same", ""
    # A server that rejects a request before it is decided gives no reason.
    is_own = not answer.reason and (answer.status == 0 or 400 <= answer.status < 500) and expected.reason == "request_not_understood"
    # It may also have changed the request: another denial is as strict.
    is_changed = answer.reason and way.upstream and expected.reason == "request_not_understood"
    return ("refused" if is_own else "changed" if is_changed else "wrong"), f"answers {answer}, expected {expected}"


def finds_wrong_answers(cases, library):
    """Whether a server that allows everything, and one that denies everything, are found."""
    first = [case for case in cases if case.policy == cases[0].policy]
    port, found = processes.free_port(), []
    with CApi(library).opened(first[0].policy) as reference:
        for handler in (misread.AllowAll, DenyAll):
            with misread.serving(handler, port):
                way = Way("self-test", port)
                kinds = {verdict(way, case, reference(case.method, case.target, case.headers, case.body), reference)[0] for case in first[::20]}
                found.append("wrong" in kinds)
    return all(found)


class DenyAll(misread.AllowAll):
    """A check that allows nothing."""

    def answer(self):
        self.reply(403, b'{"error": "no", "reason": "request_not_understood"}')

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_PATCH = do_DELETE = answer


def drive(binary, library, wanted, directory):
    cases = http_cases() + decision_cases()
    table, wrong = collections.defaultdict(collections.Counter), []
    if not finds_wrong_answers(cases, library):
        wrong.append("a server that allows everything is not found: the test cannot fail")
    policies = list(dict.fromkeys(case.policy for case in cases))
    for at, policy in enumerate(policies):
        folder = directory / str(at)
        folder.mkdir()
        folder.chmod(0o755)
        with ways(binary, library, wanted, policy, folder) as (reference, started):
            for case in (case for case in cases if case.policy == policy):
                found = reference(case.method, case.target, case.headers, case.body)
                expected = case.expected or found
                is_same = (found.allowed, found.status, found.reason) == expected[:3] and (not found.allowed or not expected.token or found.token == expected.token)
                table["C"]["same" if is_same else "wrong"] += 1
                if not is_same:
                    wrong.append(f"C {case.id} answers {found}, expected {expected}")
                for way in started:
                    kind, why = verdict(way, case, expected, reference)
                    table[way.name][kind] += 1
                    if kind == "wrong":
                        wrong.append(f"{way.name} {case.id} {case.method} {case.target[:200]}: {why}")
    kinds = ("same", "refused", "changed", "unasked", "wrong")
    print("way".ljust(16) + "".join(kind.rjust(9) for kind in kinds) + "    of".ljust(10), len(cases), "cases")
    for name, counted in table.items():
        print(name.ljust(16) + "".join(str(counted[kind]).rjust(9) for kind in kinds), flush=True)
        if counted["same"] < 0.8 * len(cases):
            wrong.append(f"{name} gives the same answer to only {counted['same']} of {len(cases)} cases")
    return wrong


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        pathlib.Path(scratch).chmod(0o755)
        default = pathlib.Path(sys.argv[1]).parent / "libportcullis_c.so"
        found = drive(sys.argv[1], os.environ.get("PORTCULLIS_LIBRARY", default), sys.argv[2:], pathlib.Path(scratch))
    for each in found[:SHOWN]:
        print("FAIL", each[:900])
    sys.exit(f"{len(found)} disagreements" if found else 0)
