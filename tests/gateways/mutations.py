"""Mutations of real requests, which Portcullis and an upstream may read differently.

Each pairs a granted source with a secret one. A reader that differs reports the secret one.
"""

import dataclasses
import gzip
import json
import pathlib
import random
import zlib
from urllib.parse import quote, quote_plus, unquote_plus

HERE = pathlib.Path(__file__).resolve().parent / "readers"
SECRET_TABLE = "secret.private.payroll"
SECRET_QUERY = "SELECT * FROM secret.private.payroll"
SECRET_CONNECTION = "secret_dw"
SOURCES = ["name", "q", "source", "tilesetTableName", "propertiesTableName", "propertiesSqlQuery", "destination"]
# The corpus is the same in each run.
SEED = 17


@dataclasses.dataclass
class Request:
    """A request that a client sends. `tokens` are the secrets that it presents."""

    label: str
    method: str
    target: str
    headers: list
    body: bytes | None
    tokens: list
    chunked: bool = False
    version: str = "HTTP/1.1"
    # Bytes that are sent after the request.
    after: bytes = b""

    def but(self, label, **changes):
        return dataclasses.replace(self, label=f"{self.label}: {label}", **changes)

    def without(self, *names):
        return [(name, value) for name, value in self.headers if name.lower() not in names]

    def more(self, label, *headers, **changes):
        return self.but(label, headers=[*self.headers, *headers], **changes)

    def bytes(self, case):
        """Returns the request in HTTP/1.1."""
        names = [name.lower() for name, _ in self.headers]
        headers = [*([] if "host" in names else [("Host", "127.0.0.1")]), ("X-Case", str(case)), ("Accept", "*/*"), *self.headers]
        body = self.body or b""
        if self.chunked:
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:]) if part) + b"0\r\n\r\n"
            if "transfer-encoding" not in names:
                headers.append(("Transfer-Encoding", "chunked"))
        elif self.body is not None and not {"content-length", "transfer-encoding"} & set(names):
            headers.append(("Content-Length", str(len(body))))
        head = f"{self.method} {self.target} {self.version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        return head.encode("utf-8", "surrogateescape") + b"\r\n" + body + self.after

    def fields(self, case, has_length=True):
        """Returns the headers of the request in HTTP/2, pseudo-headers first. What only HTTP/1.1 has is left out."""
        hop = {"host", "connection", "transfer-encoding", "upgrade", "http2-settings", "keep-alive", "proxy-connection"}
        host = [value for name, value in self.headers if name.lower() == "host"] or ["127.0.0.1"]
        target = self.target.partition("://")[2] if "://" in self.target.partition("?")[0] else self.target
        target = target if target.startswith(("/", "*")) else target[target.find("/"):]
        pseudo = [(":method", self.method), (":scheme", "https"), (":authority", host[0]), (":path", target)]
        own = [(name.lower(), value) for name, value in self.headers if name.strip().lower() not in hop]
        if has_length and self.body is not None and "content-length" not in dict(own):
            own.append(("content-length", str(len(self.body))))
        return [(name.encode(), value.encode("utf-8", "surrogateescape"))
                for name, value in [*pseudo, ("x-case", str(case)), *own]]


class Base:
    """A recorded request, with its parts."""

    def __init__(self, recorded):
        self.expect, self.id = recorded["expect"], recorded["id"]
        self.path, _, query = recorded["url"].partition("?")
        self.pairs = query.split("&") if query else []
        self.object = json.loads(recorded["body"]) if recorded["body"] else None
        token = self.expect["token"]
        self.request = Request(self.id, recorded["method"], recorded["url"], list(recorded["headers"].items()),
                               recorded["body"].encode() if recorded["body"] else None, [token])
        keys = [pair.partition("=")[0] for pair in self.pairs]
        self.in_query = [key for key in SOURCES if key in keys]
        self.in_body = [key for key in SOURCES if self.object and key in self.object]
        self.connection = self.expect["connection"]

    def secret(self, key):
        """Returns a source that is not granted, of the kind that the parameter holds."""
        is_query = key in ("q", "propertiesSqlQuery") or key == "source" and '"query"' in json.dumps(self.expect["sources"])
        return SECRET_QUERY if is_query else SECRET_TABLE

    def value(self, key):
        values = {each.partition("=")[0]: unquote_plus(each.partition("=")[2]) for each in self.pairs}
        return values.get(key) if key in values else (self.object or {}).get(key)

    def to(self, label, pairs=None, path=None, **changes):
        target = (self.path if path is None else path) + "".join(
            "?&"[at > 0] + pair for at, pair in enumerate(self.pairs if pairs is None else pairs))
        return self.request.but(label, target=target, **changes)

    def json(self, *members, drop=()):
        """Returns the body with more members, which are text, at its end."""
        own = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in (self.object or {}).items() if key not in drop]
        return ("{" + ",".join([*own, *members]) + "}").encode()


def bases():
    found = []
    for file in ("recorded.jsonl", "written.jsonl"):
        found += [Base(json.loads(line)) for line in (HERE / file).read_text().splitlines()]
    return found


def spellings(key):
    """Returns keys, as a query writes them, that somebody may take for `key`."""
    first = f"%{ord(key[0]):02x}{key[1:]}"
    folded = [
        key.replace(letter, other, 1) for letter, other in (("s", "ſ"), ("k", "K"), ("i", "ı"), ("S", "ſ")) if letter in key
    ]
    return [
        key, f"{key}]", f"[{key}]", f"[{key}", f"{key}[", f"{key}[]", f"{key}[0]", f"{key}[1]", f"{key}[x]", f"{key}[][]",
        f"{key}][", f"]{key}", f"[[{key}]]", f"{key}]]", f"{key}[[]", f"{key}%5B%5D", f"%5B{key}%5D", f"{key}%5D", f"{key}%5B",
        f"{key}%255B%255D", f"{key}.x", f"{key}.", f".{key}", f"{key}.0", f"params.{key}", f"params[{key}]",
        f"__proto__[{key}]", f"constructor[prototype][{key}]", f"[][{key}]", f"%20{key}", f"+{key}", f"{key}+", f"{key}%20",
        f"%09{key}", f"%0A{key}", f"{key}%0D", f"%00{key}", f"{key}%00", f"{key}%00x", f"{key}%00]", f"%0B{key}", f"{key}%A0",
        f"%C2%A0{key}", key.upper(), key.capitalize(), key.swapcase(), key[:-1] + key[-1].upper(), first,
        "".join(f"%{ord(letter):02X}" for letter in key), f"%25{ord(key[0]):02x}{key[1:]}", f"%EF%BB%BF{key}", f"{key}%C2%AD",
        f"{key}%E2%80%8B", f"{key}%CC%81", quote("".join(chr(ord(c) + 0xFEE0) for c in key)), *map(quote, folded), f"{key};",
        f";{key}", f"x;{key}", f"x=1;{key}", f"amp;{key}", f"&{key}", f"?{key}", f"%26{key}", f"%3F{key}", f"x=1%26{key}",
        f"{key}:", f"{key}%3D", f"{key}%u005d", f"%u00{ord(key[0]):02x}{key[1:]}", f"\\u00{ord(key[0]):02x}{key[1:]}",
        f"{key}%E9", f"{key}%C0%80", f"%C1%{ord(key[0]) & 0x3F | 0x80:02x}{key[1:]}", f"_{key}", f"{key}_", f"-{key}",
        f"{key}-", f"${key}", f"%22{key}%22", f"'{key}'", f"{key}|", f"{key}~", f"{key}!", f"{key}*", f"@{key}", f"{key},",
        f"{key},x", f"{{{key}}}", f"({key})", f"{key}%", f"{key}%zz", f"{key}%0", f"/{key}", f"{key}/", f"%5C{key}",
        f"{key}%5C", f"%7F{key}", f"#{key}", f"x#&{key}", f"%23{key}",
    ]


def member_spellings(key):
    """Returns keys, as JSON writes them, that somebody may take for `key`."""
    decoded = [unquote_plus(each, errors="replace") for each in spellings(key) if "=" not in each and "&" not in each]
    escaped = [
        f'"\\u{ord(key[0]):04x}{key[1:]}"', f'"{key[:1]}\\u{ord(key[-1]):04X}"', f'"{key}\\u0000"', f'"\\u0000{key}"',
        f'"{key}\\u0000x"', f'"{key}\\ud800"', f'"\\ufeff{key}"', f"'{key}'", key, f'"{key}\\/"'
    ]
    return [*dict.fromkeys([*(json.dumps(each, ensure_ascii=ascii) for each in decoded for ascii in (True, False)), *escaped])]


# Keys that PHP, or somebody else, takes for `access_token`.
TOKEN_SPELLINGS = [
    "access.token", "access%20token", "access%5Btoken", "access+token", "access_token[]", "access_token[0]", "access_token]",
    "[access_token]", "ACCESS_TOKEN", "Access_Token", "access-token", "%20access_token", "access_token%00", "access_to%E2%84%AAen",
    "acce%C5%BF%C5%BF_token"
]


def keys_in_query(base):
    """Returns requests with another key in the query, or with a value that may hold one."""
    for key in base.in_query:
        secret = quote_plus(base.secret(key))
        for spelling in spellings(key):
            yield base.to(f"{spelling} after", [*base.pairs, f"{spelling}={secret}"])
            yield base.to(f"{spelling} before", [f"{spelling}={secret}", *base.pairs])
    if base.in_query:
        key = base.in_query[0]
        secret, own = quote_plus(base.secret(key)), quote_plus(base.value(key))
        others = [pair for pair in base.pairs if pair.partition("=")[0] != key]
        for value in (f"{own}&{key}={secret}", f"{secret}&{key}={own}", f"{own},{secret}", f"{own}%00{secret}",
                      f"{own}%0A{secret}", f"{own};{key}={secret}", f"{own}%26{key}={secret}", f"{own}#&{key}={secret}",
                      f"{own}?{key}={secret}", f"{own}%20", f"{own}%23", f"{own}%FF", f"{own}%ED%A0%80", f"%EF%BB%BF{own}",
                      f"%u0073{own}", f"{own}&&&{key}={secret}", f"{own}&={secret}", f"{own}&{secret}", f"&{key}={own}",
                      f"{own}=&{key}={secret}"):
            yield base.to(f"value {value[:60]}", [*others, f"{key}={value}"])
        for query in (f"?{key}={secret}&{key}={own}", f"{key}={own}?{key}={secret}", f"%3F{key}={secret}&{key}={own}",
                      f"{key}={own}%26{key}%3D{secret}", f"{key}={own}&[]={secret}", f"{key}={own}&%5B%5D={secret}",
                      f"{key}={own}&=1", f"{key}={own}&%00={secret}", *(f"{key}={own}&{spelling}=other-secret"
                                                                        for spelling in TOKEN_SPELLINGS)):
            yield base.to(f"query {query[:60]}", [*others, query])


def keys_in_body(base):
    """Returns requests with another key in the body, or with a value that is not a text."""
    for key in base.in_body:
        secret, own = json.dumps(base.secret(key)), json.dumps(base.value(key))
        for spelling in member_spellings(key):
            yield base.request.but(f"{spelling} after", body=base.json(f"{spelling}:{secret}"))
            yield base.request.but(f"{spelling} before", body=base.json(f"{spelling}:{secret}", f'"{key}":{own}', drop=[key]))
        for value in (f"[{secret}]", f"[{own},{secret}]", f'{{"x":{secret}}}', f'{{"toString":{secret}}}', "null", "1", "true",
                      f'{own},"__proto__":{{"{key}":{secret}}}', f'{own},"":{secret}',
                      f'{own},"constructor":{{"prototype":{{"{key}":{secret}}}}}', f"{own},{{{secret}}}", f'{own},"x":NaN',
                      f'{own}/*,*/,"{key}":{secret}', f'{own},', f'{own} //\n,"{key}":{secret}'):
            yield base.request.but(f"value {value[:60]}", body=base.json(f'"{key}":{value}', drop=[key]))


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BOUNDARY = "b0undary"
CONTENT_TYPES = [
    [], [""], [JSON], [JSON.upper()], ["Application/Json"], [f"{JSON}; charset=utf-8"], [f'{JSON};charset="UTF-8"'],
    [f"{JSON};charset=utf8"], [f"{JSON};charset=utf-16"], [f"{JSON};charset=utf-16le"], [f"{JSON};charset=utf-7"],
    [f"{JSON}; charset=iso-8859-1"], [f"{JSON};charset=utf-8;charset=utf-16"], [f"{JSON};charset=utf-16;charset=utf-8"],
    [f"{JSON};charset"], [f"{JSON};CHARSET =utf-16"], [f"{JSON}, {FORM}"], [f"{FORM}, {JSON}"], [f"{FORM},x+json"],
    [f"{FORM}, x+json"], [f"{FORM};x+json"], [f"{FORM}; a=b+json"], [f"{FORM}+json"], [f"{FORM} +json"], [f"{FORM}\t+json"],
    [f"{FORM}\x0b+json"], [FORM], [FORM.upper()], [f"{FORM};charset=utf-16"], [f"{FORM};charset=utf-8"], [f"{JSON};{FORM}"],
    [f'{JSON}; a="{FORM}"'], [f"{JSON};boundary={BOUNDARY}"], [f"multipart/form-data; boundary={BOUNDARY}"],
    [f"multipart/form-data; boundary={BOUNDARY},x+json"], [f"multipart/form-data;boundary={BOUNDARY};+json"],
    [f"multipart/mixed; boundary={BOUNDARY}"], [f"multipart/x+json; boundary={BOUNDARY}"], ["multipart/form-data"],
    ["text/plain"], ["text/json"], ["text/x-json"], ["application/ld+json"], ["application/vnd.api+json"], ["x/x+json"],
    ["+json"], ["application/jsonp"], ["application/json+x"], ["application /json"], [f"{JSON};"], [f"{JSON} ;"], [f"{JSON}\t"],
    [f'"{JSON}"'], ["*/*"], ["json"], ["application/javascript"], ["application/octet-stream"], ["application/xml"],
    ["text/html;charset=utf-7"], [JSON, FORM], [FORM, JSON], [JSON, JSON], [JSON, ""], ["", FORM], [f"{JSON}\xa0"],
    [f"{JSON}%00"], [f"x; {JSON}"],
]


def bodies(key, own, secret):
    """Returns bodies that hold a secret source for somebody. `own` and `secret` are texts."""
    good, bad = json.dumps(own), json.dumps(secret)
    form, granted = quote_plus(secret), quote_plus(own)
    part = lambda name, value: f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    multipart = part(key, secret) + f"--{BOUNDARY}--\r\n"
    plain = f'{{"{key}":{good}}}'
    return {
        "granted": plain, "granted with a form in a value": f'{{"{key}":{good},"x":"&{key}={form}&type=query&"}}',
        "granted with a form in a key": f'{{"&{key}={form}&":1,"{key}":{good}}}',
        "granted with a form in white space": f'{{"{key}":{good},\n"x":"\\n&{key}={form}"}}',
        "granted, then a form": f'{{"{key}":{good}}}&{key}={form}',
        "a form, then granted": f'{key}={form}&x={{"{key}":{good}}}', "secret": f'{{"{key}":{bad}}}',
        "secret form": f"{key}={form}", "both in a form": f"{key}={granted}&{key}={form}",
        "a list in a form": f"{key}[]={form}", "granted, then secret": f'{{"{key}":{good}}}{{"{key}":{bad}}}',
        "granted, then secret on a line": f'{{"{key}":{good}}}\n{{"{key}":{bad}}}',
        "list of both": f'[{{"{key}":{good}}},{{"{key}":{bad}}}]', "list of pairs": f'[["{key}",{bad}]]',
        "multipart": multipart, "granted, then multipart": f'{plain}\r\n{multipart}',
        "multipart of both": part(key, own) + multipart,
        "JSON in a part": part(key, own) + part("x", f'{{"{key}":{bad}}}') + f"--{BOUNDARY}--\r\n", "a text": f'"{key}={form}"',
        "null": "null", "a blank": " ", "twice": f'{{"{key}":{good},"{key}":{bad}}}',
        "twice, reversed": f'{{"{key}":{bad},"{key}":{good}}}', "XML": f"<x><{key}>{secret}</{key}></x>",
        "prefix against inclusion": f")]}}',\n{plain}",
    }


def encodings(text):
    """Returns a body's text in other encodings, each with the headers that say so."""
    raw = text.encode()
    typed = lambda charset: [("Content-Type", f"{JSON};charset={charset}")]
    plain = [("Content-Type", JSON)]
    encoded = lambda name: [*plain, ("Content-Encoding", name)]
    return {
        "BOM": (b"\xef\xbb\xbf" + raw, plain), "UTF-16LE": (text.encode("utf-16-le"), typed("utf-16le")),
        "UTF-16BE": (text.encode("utf-16-be"), typed("utf-16be")), "UTF-16": (text.encode("utf-16"), typed("utf-16")),
        "UTF-16 undeclared": (text.encode("utf-16-le"), plain), "UTF-16 with BOM undeclared": (text.encode("utf-16"), plain),
        "UTF-32": (text.encode("utf-32"), plain), "UTF-32LE": (text.encode("utf-32-le"), typed("utf-32le")),
        "UTF-7": (text.encode("utf-7"), typed("utf-7")), "UTF-7 letters": (raw.replace(b'"n', b'"+AG4-', 1), typed("utf-7")),
        "EBCDIC": (text.encode("cp037", "replace"), typed("cp037")), "Latin-1": (raw + b"\xe9", typed("latin1")),
        "gzip": (gzip.compress(raw, mtime=0), encoded("gzip")), "gzip undeclared": (gzip.compress(raw, mtime=0), plain),
        "x-gzip": (gzip.compress(raw, mtime=0), encoded("x-gzip")), "deflate": (zlib.compress(raw), encoded("deflate")),
        "gzip, identity": (gzip.compress(raw, mtime=0), encoded("gzip, identity")), "identity": (raw, encoded("identity")),
        "two encodings": (gzip.compress(raw, mtime=0), [*encoded("identity"), ("Content-Encoding", "gzip")]),
        "br": (raw, encoded("br")), "an empty encoding": (raw, encoded("")), "aws-chunked": (raw, encoded("aws-chunked")),
        "NUL after": (raw + b"\0", plain), "NUL before": (b"\0" + raw, plain), "form feed": (b"\x0c" + raw, plain),
        "no-break space": (b"\xc2\xa0" + raw, plain), "overlong": (raw.replace(b"s", b"\xc1\xb3", 1), plain),
        "base64": (raw, [*plain, ("Content-Transfer-Encoding", "base64")]),
    }


def body_types(base):
    """Returns requests with another body and content type."""
    key = (base.in_body or base.in_query or ["q"])[0]
    own, secret = base.value(key) or "SELECT 1", base.secret(key)
    headers = base.request.without("content-type")
    for name, text in bodies(key, own, secret).items():
        for types in CONTENT_TYPES:
            typed = [*headers, *(("Content-Type", each) for each in types)]
            yield base.request.but(f"{name} as {types}", method="POST", headers=typed, body=text.encode())
    for name, text in bodies(key, own, secret).items():
        for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD", "QUERY"):
            for kind in (JSON, FORM, "text/plain", f"multipart/form-data; boundary={BOUNDARY}"):
                yield base.request.but(f"{method} with {name} as {kind}", method=method, body=text.encode(),
                                       headers=[*headers, ("Content-Type", kind)])
    for name in ("granted", "secret", "twice", "secret form"):
        text = bodies(key, own, secret)[name]
        for coding, (body, typed) in encodings(text).items():
            yield base.request.but(f"{name} in {coding}", method="POST", body=body, headers=[*headers, *typed])
        for kind in (JSON, FORM):
            typed = base.request.but(f"{name} as {kind}", method="POST", body=text.encode(),
                                     headers=[*headers, ("Content-Type", kind)])
            yield from framings(typed)


def framings(request):
    """Returns the request with its body delimited in other ways."""
    body = request.body
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    yield request.but("chunked", chunked=True)
    yield request.more("chunked, with a length", ("Content-Length", str(len(body))), chunked=True)
    yield request.more("chunked, with a length of 0", ("Content-Length", "0"), chunked=True)
    yield request.but("chunked, with trailers", chunked=False, body=chunks[:-2] + b"X-Portcullis-Token-Id: root\r\n\r\n",
                      headers=[*request.headers, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Portcullis-Token-Id")])
    yield request.but("chunked, with an extension", body=b"%x;x=y\r\n%s\r\n0\r\n\r\n" % (len(body), body),
                      headers=[*request.headers, ("Transfer-Encoding", "chunked")])
    for coding in ("Chunked", "identity", "gzip, chunked", "chunked, identity", "xchunked", "chunked;x", '"chunked"', "\tchunked",
                   "chunked, chunked", ""):
        yield request.but(f"Transfer-Encoding: {coding}", body=chunks, headers=[*request.headers, ("Transfer-Encoding", coding)])
    yield request.but("two Transfer-Encodings", body=chunks,
                      headers=[*request.headers, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")])
    yield request.but("Transfer_Encoding",
                      headers=[*request.headers, ("Transfer_Encoding", "chunked"), ("Content-Length", str(len(body)))])
    for length in ("0", "00", "+1", "-1", "0x10", "", "1,1", str(len(body) - 1), f"{len(body)}, {len(body)}", f"0{len(body)}"):
        yield request.more(f"Content-Length: {length}", ("Content-Length", length))
    yield request.more("two lengths", ("Content-Length", str(len(body))), ("Content-Length", "0"))
    yield request.more("Content_Length", ("Content_Length", "0"))
    yield request.more("no length", ("X-None", "1"), ("Transfer-Encoding", "identity"))
    yield request.more("Expect", ("Expect", "100-continue"))
    yield request.more("X-Original-Content-Length", ("X-Original-Content-Length", "0"))
    yield request.more("X-Original-Transfer-Encoding", ("X-Original-Transfer-Encoding", ""), chunked=True)


PREFIXES = [
    "v3;x", "v3;x=y", "v3%3Bx", "v3%3b", "v3;", "v3;v3", "V3", "V3;x", "%763", "%76%33", "v%33", "v3%00", "v3%20", "v3+", "v3.",
    "v3%2F", "v3%5C", "v3%09", "v3%0a", "v3,", "v3~", "v3%E2%80%8B", "%EF%BD%963", "v%EF%BC%93", "v3%252F", "v3%253Bx",
    "%2576%2533", "v3%C2%A0", "v3%3F", "v3%23", "v3:", "v3@x", "v3=x", "v3&x", "v3'", "v3!", "v3*", "v3()", ";/v3", ";x/v3",
    ".;/v3", "..;/v3", "./v3", "%2e/v3", "x/../v3", "x/%2e%2e/v3", "x/..;/v3", "x/%2e%2e;/v3", "x/..%3B/v3", "x%2F..%2Fv3",
    "x/%252e%252e/v3", "x/..%5cv3", "x\\..\\v3", "/v3", "//v3", "x//..//v3", "v3/../v3;", "api/v3;x", "api;x/v3", "api%3Bx/v3",
    "api/V3", "api/%763", "api//v3", "API/v3", "api/./v3", "v3/v3", "index.php/v3", "v2/../v3", "~/v3", "%2e%2e/v3", "v3%u003b",
    "%c0%afv3", "v3%2f%2e%2e%2fv3",
]
TAILS = [
    ";x", "/;x", ";/x", "%3Bx", "/../query", "/%2e%2e/query", "/..;/query", "/..%3B/query", "/%2e%2e%3B/query", "/.%2e/query",
    "/%2E./query", "%2F..%2Fquery", "/..%2fquery", "%5C..%5Cquery", "\\..\\query", "/..\\query", "/x/../../query",
    "/%252e%252e/query", "/%c0%ae%c0%ae/query", "/%u002e%u002e/query", "/..%00/query", "/..%20/query", "/...//query", "//",
    "//query", "/.", "/./", "/", "/..", "/%2e", "%20", "%00", "%09", "%0a", ".json", ".", ";jsessionid=1", "%3F", "%23",
    "%252F..%252Fquery", "/v3/maps/{C}/query", "/../../{S}/query", "/../../{S}/table", "/..;/..;/{S}/query",
    "/%2e%2e/%2e%2e/{S}/query", "%2F..%2F..%2F{S}%2Fquery", "/..%5c..%5c{S}%5cquery", "+", "%2B", "/*", "/**", "/5/15/12;x",
    "/5/../../query", "/5/15/12%2F..%2F..%2F..%2F..%2Fquery", "?/../query", "#/../query", "/query", "/?x", "/%3b/..", "/%",
]
CONNECTIONS = [
    "{S}%2F..%2F{C}", "{C}%2F..%2F{S}", "{S}%5C..%5C{C}", "{C};x", "{C};{S}", "{S};{C}", "{C}%3Bx", "{C}%00", "{C}%00{S}",
    "{C}%20", "%20{C}", "{C}+", "{C}%2B", "{C}.", "{C}%2520", "{C}%09", "{C}%0a", "{S}/../{C}", "{S}/..;/{C}", "{S}/%2e%2e/{C}",
    "{C}/../{S}", "{C}/..;/{S}", "{C}/%2e%2e/{S}", "{C}/.;/", ".;/{C}", "./{C}", "%2e/{C}", "/{C}", "{S}//{C}", "{C}/{S}",
    "{S}/{C}", "{C}%2F{S}", "{C}%5c{S}", "{C}%252F..%252F{S}", "{U}", "{E}", "{EE}", "{C}%C2%A0", "{C}%EF%BB%BF", "{C}%FF",
    "{C}%C0%80", "{C}%7F", "{C}%23", "{C}%3F", "{C},{S}", "{C}|{S}", "{C}&{S}", "public", "%70ublic", "Public", "..", "%2e%2e",
    "", "*", "~",
]


def paths(base):
    """Returns requests whose path names another connection or route for some servers."""
    expect = base.expect
    if not base.connection:
        return
    raw = quote(base.connection, safe="")
    rest = base.path[base.path.index("/v3/"):]
    names = {
        "C": raw, "S": SECRET_CONNECTION, "U": raw.swapcase(),
        "E": "".join(f"%{ord(c):02x}" if c.isascii() and c.isalnum() else quote(c) for c in base.connection[:1]) + raw[1:],
        "EE": raw.replace(raw[0], f"%25{ord(raw[0]):02x}", 1)
    }
    fill = lambda text: "".join(
        names.get(part[:-1], part) if part.endswith("}") and part[:-1] in names else part
        for part in text.replace("{", "\0{").replace("}", "}\0").replace("{", "").split("\0"))
    secret = [f"q={quote_plus(SECRET_QUERY)}", f"name={SECRET_TABLE}", f"source={quote_plus(SECRET_QUERY)}", "type=query"]
    own = {pair.partition("=")[0] for pair in base.pairs} | set(base.object or {})
    # Each route reads other parameters: those that this one does not read hold secret sources.
    free = [
        pair for pair in secret
        if pair.partition("=")[0] not in own and not (pair[0] == "q" and expect["api"] == "maps" and "/stats/" in base.path)
    ]
    pairs = [*base.pairs, *free]
    for prefix in PREFIXES:
        for kind in (f"/maps/{SECRET_CONNECTION}/query", f"/maps/{raw}/query", f"/sql/{SECRET_CONNECTION}/query",
                     f"/stats/{SECRET_CONNECTION}/{SECRET_TABLE}"):
            yield base.to(f"/{prefix}{kind}", pairs, f"/{prefix}{kind}{rest}")
            yield base.to(f"{prefix}{kind} twice", pairs, f"/api/{prefix}{kind}{rest}")
        yield base.to(f"/{prefix} for v3", pairs, f"/{prefix}{rest[3:]}")
        yield base.to(f"/{prefix}/ before", pairs, f"/{prefix}{rest}")
    segments = rest.split("/")
    head, tail = "/".join(segments[:5]), "/".join(["", *segments[5:]]) if segments[5:] else ""
    for each in TAILS:
        yield base.to(f"tail {each}", pairs, head + fill(each) + tail)
        yield base.to(f"end {each}", pairs, rest + fill(each))
    for each in CONNECTIONS:
        yield base.to(f"connection {each}", pairs, "/".join([*segments[:3], fill(each), *segments[4:]]))
    for kind in (segments[2].upper(), segments[2].capitalize(), f"%{ord(segments[2][0]):02x}{segments[2][1:]}",
                 f"{segments[2]};x", f"{segments[2]}%20", f"{segments[2]}."):
        yield base.to(f"{kind} for {segments[2]}", pairs, "/".join([*segments[:2], kind, *segments[3:]]))
    for kind in () if len(segments) < 5 else (segments[4].upper(), f"%{ord(segments[4][0]):02x}{segments[4][1:]}",
                                              f"{segments[4]}%00", f"{segments[4]}%20", "query;/../" + segments[4],
                                              "query/..;/" + segments[4], "query%2f..%2f" + segments[4]):
        yield base.to(f"{kind} for {segments[4]}", pairs, "/".join([*segments[:4], kind, *segments[5:]]))
    if "/stats/" in rest:
        for source in (f"{SECRET_TABLE}%2F..%2F{segments[4]}", f"{SECRET_TABLE}/../{segments[4]}",
                       f"{SECRET_TABLE};/..;/{segments[4]}", f"{segments[4]}/..;/{SECRET_TABLE}",
                       f"{segments[4]}%2F..%2F{SECRET_TABLE}"):
            yield base.to(f"source {source}", pairs, "/".join([*segments[:4], source, *segments[5:]]))
        yield base.to("q beside a source", [*pairs, secret[0]])
        yield base.to("q in a body", pairs, method="POST", body=json.dumps({"q": SECRET_QUERY}).encode(),
                      headers=[*base.request.without("content-type"), ("Content-Type", JSON)])
    query = "?" + "&".join(pairs)
    other = f"/v3/maps/{SECRET_CONNECTION}/query"
    for target in (f"http://127.0.0.1{rest}{query}", f"http://127.0.0.1{other}{rest}{query}", f"http://x/v3{other}{query}",
                   f"http://v3/maps/{SECRET_CONNECTION}/query{rest}{query}", f"https://127.0.0.1{rest}{query}",
                   f"HTTP://127.0.0.1{rest}{query}", f"http:{rest}{query}", f"http:/{rest}{query}", f"//127.0.0.1{rest}{query}",
                   f"//{SECRET_CONNECTION}{rest}{query}", f"///{rest}{query}", f"{rest[1:]}{query}", f"*{query}", query,
                   f"{other}#{rest}{query}", f"{rest}#{other}{query}", f"{rest}{query}#{other}", f"{other}?{rest}{query}",
                   f"{other}%3F{rest}{query}", f"{rest}%3F{query}", f"{other}%23{rest}{query}", f"{other};{rest}{query}",
                   f"{rest};{other}{query}", f"{other}\\..\\..\\..\\..{rest}{query}", f"http://user@127.0.0.1{rest}{query}",
                   f"http://127.0.0.1?{rest}{query}", f"{rest} {query}", f"{rest}\t{query}", f"{rest}{query} HTTP/1.1 x",
                   f"{rest}\x7f{query}", f"{rest}é{query}", f"{rest}??{query[1:]}", f"{rest}?{query}"):
        yield base.request.but(f"target {target[:70]}", target=target)


OVERRIDES = [
    "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override", "X_HTTP_Method_Override",
    "X-HTTP_Method-Override", "X_HTTP_METHOD", "X_Method_Override", "X-Http-Method_Override", "_method", "X.HTTP.Method.Override",
    "X-METHOD-OVERRIDE", "HTTP_X_HTTP_METHOD_OVERRIDE"
]


def overrides(method):
    return [(f"{name}: {value}", [(name, value)]) for name in OVERRIDES
            for value in (method, method.lower(), "PUT")] + [(f"{name} twice", [(name, ""), (name, method)])
                                                             for name in OVERRIDES[:4]]


def upgrades():
    settings = ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
    for protocol in ("h2c", "H2C", "h2", "TLS/1.0", "TLS/1.2", "HTTP/2.0", "websocket, h2c", "h2c, websocket", "foo", "websocket",
                     "WebSocket", "connect-udp"):
        for hop in ("Upgrade", "Upgrade, HTTP2-Settings", "keep-alive, Upgrade, HTTP2-Settings", None):
            yield f"Upgrade: {protocol}, Connection: {hop}", [("Upgrade", protocol), settings,
                                                              *([("Connection", hop)] if hop else [])]
    yield "two upgrades", [("Upgrade", "websocket"), ("Upgrade", "h2c"), settings, ("Connection", "Upgrade, HTTP2-Settings")]
    yield "two upgrades, h2c first", [("Upgrade", "h2c"), ("Upgrade", "websocket"), settings,
                                      ("Connection", "Upgrade, HTTP2-Settings")]
    key = [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"), ("Connection", "Upgrade")]
    yield "a websocket", [("Upgrade", "websocket"), *key]
    yield "an empty upgrade", [("Upgrade", ""), ("Connection", "Upgrade")]


ID = "X-Portcullis-Token-Id"
SPOOFS = [
    ID, ID.lower(), ID.upper(), ID.replace("-", "_"),
    ID.replace("-", "_").upper(), "X_Portcullis-Token-Id", "X-Portcullis_Token-Id", "X-Portcullis-Token_Id",
    "X_Portcullis_Token-Id", "x_portcullis_token_id",
    ID.replace("-", "."), "X.Portcullis_Token-Id", "HTTP_X_PORTCULLIS_TOKEN_ID", "HTTP-X-Portcullis-Token-Id", f"{ID} ", f" {ID}",
    f"{ID}\t", f"{ID}\x0b", f"{ID}:", f"{ID}\x00"
]
HOPS = [
    "X-Portcullis-Token-Id", "x-portcullis-token-id, x-portcullis-generation", "authorization", "referer", "origin",
    "content-type", "content-length", "host", "X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method",
    "X-Original-Content-Length", "close, X-Portcullis-Token-Id", "keep-alive, authorization", "transfer-encoding",
    "x-http-method-override", "X-Portcullis-Token-Id, X_Portcullis_Token_Id",
    "cookie, authorization, referer, X-Portcullis-Token-Id, content-type, X-Original-URI, X-Forwarded-Uri"
]
WHERE = [
    "X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Envoy-Original-Path",
    "X-Forwarded-Path", "X-Script-Name", "X-Accel-Redirect", "X-Original-Url", "Forwarded", "X_Original_URI"
]


def header_sets(base):
    """Returns headers of a client that may change how a request is read."""
    yield from overrides("POST" if base.request.method == "GET" else "GET")
    yield from upgrades()
    for name in SPOOFS:
        yield f"spoof {name!r}", [(name, "root")]
        yield f"spoof {name!r} beside the header", [(ID, "root"), (name, "root")]
        yield f"spoof {name!r} with a hop", [(name, "root"), ("Connection", ID)]
    for hop in HOPS:
        yield f"Connection: {hop}", [("Connection", hop)]
        yield f"Connection: {hop}, with a spoof", [("Connection", hop), (ID, "root"), (ID.replace("-", "_"), "root")]
    for name in WHERE:
        yield f"{name} of a secret", [(name, f"/v3/maps/{SECRET_CONNECTION}/query?q={quote_plus(SECRET_QUERY)}")]
        yield f"{name} of this request", [(name, base.request.target)]
    # PHP's $_REQUEST has cookies too, where no `php.ini` says otherwise.
    key = (base.in_body or base.in_query or ["q"])[0]
    secret = base.secret(key)
    for cookies in (f"{key}={quote(secret)}", f"a=b; {key}={secret}",
                    f"{key}={quote(secret)}; {key}={quote(base.value(key) or 'x')}", f"{key}[]={quote(secret)}",
                    f"{key}[x]={quote(secret)}", f"{key[0]}%{ord(key[-1]):02x}={quote(secret)}",
                    f"%{ord(key[0]):02x}{key[1:]}={quote(secret)}", f" {key} ={quote(secret)}", f"{key.upper()}={quote(secret)}",
                    f"a=b,{key}={quote(secret)}", f"a=b;{key}={quote(secret)}", f"a=b&{key}={quote(secret)}",
                    f'"{key}"={quote(secret)}', "access_token=other-secret", "access.token=other-secret", "_method=GET",
                    "type=query; " + f"{key}={quote(secret)}"):
        yield f"Cookie: {cookies}", [("Cookie", cookies)]
    yield "two cookies", [("Cookie", "a=b"), ("Cookie", f"{key}={quote(secret)}")]
    for name, value in (("X-Forwarded-Method", "OPTIONS"), ("X-Original-Method", "OPTIONS"), ("X-Forwarded-Host", "evil.example"),
                        ("Proxy-Connection", "X-Portcullis-Token-Id"), ("TE", "trailers"), ("Range", "bytes=0-1"),
                        ("Expect", "100-continue"), ("Expect", "200-ok"), ("Max-Forwards", "0"), ("X-Envoy-Auth-Partial-Body",
                                                                                                  "false"),
                        ("Content-Encoding", "gzip"), ("Content-Type", FORM), ("Content_Type", FORM), ("Content-Length", "0"),
                        ("X-Original-Content-Length", ""), ("Accept", "text/html"), ("Origin", "https://evil.example"),
                        ("X-Folded", "a\r\n X-Portcullis-Token-Id: root"), ("X-Folded", f"a\r\n\t{ID}: root"),
                        ("X-Newline", f"a\n{ID}: root"), ("X-Return", f"a\r{ID}: root"), ("X-Nul", f"a\0{ID}: root")):
        yield f"{name}: {value!r}", [(name, value)]


def headers(base):
    for label, more in header_sets(base):
        yield base.request.more(label, *more)
    for version in ("HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/0.9", "HTTP/1.1 ", ""):
        yield base.request.but(f"version {version!r}", version=version)
    # A second reading of the same request, in the query or in a form.
    for pair in ("_method=GET", "_method=POST", "_METHOD=GET", "_method[]=GET", "_method=OPTIONS", "X-HTTP-Method-Override=GET",
                 "_method=PUT"):
        yield base.to(pair, [*base.pairs, pair])
    own = next((value for name, value in base.request.headers if name == "authorization"), None)
    if own is None:
        return
    rest, secret = base.request.without("authorization"), own.partition(" ")[2]
    both = [*base.request.tokens, "other-secret"]
    other = ("Authorization", "Bearer other-secret")
    for label, values, tokens in (("two Authorizations", [
        ("Authorization", own), other
    ], both), ("two Authorizations, reversed", [other, ("Authorization", own)], both), ("joined Authorizations", [
        ("Authorization", f"{own}, Bearer other-secret")
    ], both), ("joined Authorizations, reversed", [
        ("Authorization", f"Bearer other-secret, {own}")
    ], both), ("Basic beside Bearer", [
        ("Authorization", own), ("Authorization", "Basic b3RoZXI6c2VjcmV0")
    ], both), ("a word after", [("Authorization", f"{own} other-secret")], both), ("bearer", [
        ("Authorization", f"bearer {secret}")
    ], [secret]), ("BEARER", [("Authorization", f"BEARER  {secret}")], [secret]), ("a tab", [
        ("Authorization", f"Bearer\t{secret}")
    ], [secret]), ("an underscore", [("Authorization", own),
                                     ("Authorization_", "Bearer other-secret")], [secret]), ("HTTP_AUTHORIZATION", [
                                         ("Authorization", own), ("HTTP_AUTHORIZATION", "Bearer other-secret")
                                     ], [secret]), ("Proxy-Authorization", [
                                         ("Authorization", own), ("Proxy-Authorization", "Bearer other-secret")
                                     ], [secret]), ("X-Authorization", [("Authorization", own),
                                                                        ("X-Authorization", "Bearer other-secret")], [secret]),
                                  ("none", [], []), ("an empty one", [("Authorization", "")], []), ("Bearer alone", [
                                      ("Authorization", "Bearer")
                                  ], []), ("Basic", [("Authorization", "Basic dTpw")], [])):
        yield base.request.but(label, headers=[*rest, *values], tokens=tokens)
    for pair in ("access_token=other-secret", "access%5ftoken=other-secret", "access_token=", *(f"{spelling}=other-secret"
                                                                                                for spelling in TOKEN_SPELLINGS)):
        is_token = unquote_plus(pair) == "access_token=other-secret"
        yield base.to(f"{pair} beside a header", [*base.pairs, pair], tokens=both if is_token else base.request.tokens)
        yield base.to(f"{pair} alone", [*base.pairs, pair], headers=rest, tokens=["other-secret"] if is_token else [])
    good = next((value for name, value in base.request.headers if name == "referer"), None)
    if good is not None:
        rest, evil = base.request.without("referer"), "https://evil.example/"
        for values in ([good, evil], [evil, good], [f"{good}, {evil}"], [f"{evil}, {good}"], [f"{good},{evil}"], [good, ""],
                       ["", good], ["", evil], [evil], [f"{evil}#{good}"], [f"{good}@evil.example/"], [f"{good} {evil}"],
                       [f"{good}\t,{evil}"], [good, good], []):
            yield base.request.but(f"referers {values}", headers=[*rest, *(("Referer", value) for value in values)])
        yield base.request.but("Referrer", headers=[*rest, ("Referer", good), ("Referrer", evil), ("X_Referer", evil)])


def preflights(base):
    """Returns requests without a token that claim to be preflights, and that may read a source where they are not."""
    rest = base.request.without("authorization", "origin", "access-control-request-method")
    # A web site whose preflights the gateways answer, and one that they do not know.
    origin = "https://app.example.com" if len(base.id) % 2 else "https://www.example.com"
    claims = [("Origin", origin), ("Access-Control-Request-Method", "GET")]
    pairs = [pair for pair in base.pairs if not pair.startswith("access_token=")]
    preflight = base.to("preflight", pairs, method="OPTIONS", headers=[*rest, *claims], body=None, tokens=[])
    yield preflight
    for label, more in [*overrides("GET"), *overrides("POST")[:12], *upgrades()]:
        yield preflight.more(label, *more)
    for pair in ("_method=GET", "_METHOD=GET", "_method[]=GET", "X-HTTP-Method-Override=GET", "access_token=x"):
        yield base.to(f"preflight, {pair}", [*pairs, pair], method="OPTIONS", headers=[*rest, *claims], body=None, tokens=[])
    key = (base.in_body or base.in_query or ["q"])[0]
    own = base.value(key) or "SELECT 1"
    for name, text in bodies(key, own, base.secret(key)).items():
        for kind in (JSON, FORM):
            typed = [*base.request.without("authorization", "origin", "content-type"), *claims, ("Content-Type", kind)]
            body = preflight.but(f"with {name} as {kind}", headers=typed, body=text.encode())
            yield body
            yield body.but("chunked", chunked=True)
            yield body.more("and an override", ("X-HTTP-Method-Override", "POST"))
            yield body.but("and _method", body=f"_method=POST&{text}".encode())
    for method in ("GET", "POST", "options", "OPTIONS ", "OPTION", "HEAD", "TRACE", "CONNECT", "PROPFIND"):
        yield preflight.but(method, method=method)
    yield preflight.but("without Origin", headers=[*rest, claims[1]])
    yield preflight.but("without a method", headers=[*rest, claims[0]])
    yield preflight.more("Content-Length: 0", ("Content-Length", "0"))
    yield preflight.more("two Origins", ("Origin", "null"))
    for hop in ("Access-Control-Request-Method", "Origin", "Origin, Access-Control-Request-Method"):
        yield preflight.more(f"Connection: {hop}", ("Connection", hop))
    for name in SPOOFS:
        yield preflight.more(f"spoof {name!r}", (name, "root"))


def without_token(base):
    """Returns requests without a token: nothing may be read for them."""
    rest = base.request.without("authorization")
    pairs = [pair for pair in base.pairs if not pair.startswith("access_token=")]
    bare = base.to("no token", pairs, headers=rest, tokens=[])
    yield bare
    for label, more in header_sets(base):
        yield bare.more(label, *more)
    for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "get", "GET "):
        yield bare.but(method, method=method)
    # A second request in the same connection, after one whose body may be longer for somebody.
    second = f"GET /v3/maps/{SECRET_CONNECTION}/query?q={quote_plus(SECRET_QUERY)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    yield bare.but("a second request", after=second)
    yield base.request.but("a second request after a granted one", after=second)
    yield base.request.more("a second request as a body", ("Content-Length", "0"), after=second)
    yield base.request.more("a second request after chunks", ("Transfer-Encoding", "chunked"),
                            ("Content-Length", str(len(second) + 5)), body=b"0\r\n\r\n", after=second)


# The kinds of mutations, each with the maximum number of its requests.
KINDS = [(keys_in_query, 1400), (keys_in_body, 800), (body_types, 1600), (paths, 1800), (headers, 1100), (preflights, 700),
         (without_token, 300)]


def corpus():
    """Returns all mutations, the same each time."""
    chance = random.Random(SEED)
    originals, mutated = bases(), []
    for kind, limit in KINDS:
        every = [request for base in originals for request in kind(base)]
        mutated += chance.sample(every, limit) if len(every) > limit else every
    # Two changes at once.
    by_id = {base.id: base for base in originals}
    for request in chance.sample(mutated, 600):
        base = by_id[request.label.partition(":")[0]]
        label, more = chance.choice([*header_sets(base)])
        mutated.append(request.more(label, *more))
    return mutated


def known():
    """Returns requests that were seen to be read differently, each of which a chance must not leave out."""
    bearer = [("Authorization", "Bearer written-maps")]
    typed = lambda *types: [*bearer, *(("Content-Type", each) for each in types)]
    own, table, secret = "acme.public.stores", "/v3/maps/carto_dw/table", quote_plus(SECRET_QUERY)
    get = lambda label, target, *more, **changes: Request(f"known: {label}", "GET", target, [*bearer, *more], None,
                                                          ["written-maps"], **changes)
    post = lambda label, target, body, *types: Request(f"known: {label}", "POST", target, typed(*types), body.encode(),
                                                       ["written-maps"])
    preflight = Request("known: preflight", "OPTIONS", f"{table}?name={SECRET_TABLE}", [("Origin", "https://www.example.com"),
                                                                                        ("Access-Control-Request-Method", "GET")],
                        None, [])
    upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")]
    return [
        get("bracket after", f"{table}?name={own}&name]={SECRET_TABLE}"),
        get("brackets around", f"{table}?name={own}&[name]={SECRET_TABLE}"),
        get("matrix parameters", f"/v3;x/maps/dw/query{table}?name={own}&q={secret}"),
        get("matrix parameters of a connection", f"/v3;x/maps/{SECRET_CONNECTION}/query{table}?name={own}&q={secret}"),
        post("form, but +json", table, f'{{"name": "{own}", "x": "&name={SECRET_TABLE}&"}}', f"{FORM},x+json"),
        post("no type", table, f'{{"name": "{own}", "x": "&name={SECRET_TABLE}&"}}'),
        post("long s", "/v3/sql/carto_dw/model/range", f'{{"type": "table", "source": "{own}", "\u017fource": "{SECRET_TABLE}"}}',
             JSON).but("sql", headers=[("Authorization", "Bearer written-sql"), ("Content-Type", JSON)], tokens=["written-sql"]),
        preflight, *(preflight.more(name, (name, "GET")) for name in OVERRIDES),
        *(preflight.more(f"{name} and a body", (name, "POST"),
                         ("Content-Type", JSON), body=f'{{"name": "{SECRET_TABLE}"}}'.encode()) for name in OVERRIDES),
        get("h2c", f"{table}?name={own}", *upgrade), preflight.more("h2c", *upgrade),
        get("TLS", f"{table}?name={own}", ("Connection", "Upgrade"), ("Upgrade", "TLS/1.0")),
        *(get(f"spoof {name!r}", f"{table}?name={own}", (name, "root")) for name in SPOOFS),
        *(get(f"referers {values}", "/v3/maps/carto_dw/table?name=acme.public.sites",
              *(("Referer", value) for value in values)).but(
                  "sites", headers=[("Authorization", "Bearer written-sites"), *(("Referer", value)
                                                                                 for value in values)], tokens=["written-sites"])
          for good, bad in [("https://www.example.com/", "https://evil.example/")]
          for values in ([good, bad], [bad, good], [f"{good}, {bad}"], [f"{good},{bad}"], [bad])),
        get("GET with a body", f"{table}?name={own}", ("Content-Type", JSON)).but("JSON",
                                                                                  body=f'{{"name": "{SECRET_TABLE}"}}'.encode()),
        # Longer than the buffers of gateways: readers take the last key.
        *(post(f"{size} bytes", table, f'{{"name": "{own}", "pad": "{"x" * size}", "name": "{SECRET_TABLE}"}}', JSON)
          for size in (17_000, 90_000, 140_000, 1_100_000)),
        *(post(f"{size} bytes in chunks", table, f'{{"name": "{own}", "pad": "{"x" * size}", "name": "{SECRET_TABLE}"}}',
               JSON).but("chunked", chunked=True) for size in (17_000, 140_000, 1_100_000)),
        get("cookie", f"{table}?name={own}", ("Cookie", f"name={SECRET_TABLE}")),
        get("cookie of a token", f"{table}?name={own}", ("Cookie", "access_token=other-secret")),
        get("mangled token", f"{table}?name={own}&access.token=other-secret").but("PHP"),
    ]


def second_version():
    """Returns requests that only HTTP/2 can say: a label, the request, and changes of its fields, body and trailers."""
    spoof = [(ID.lower().encode(), b"root")]
    secret = f"/v3/maps/{SECRET_CONNECTION}/query?q={quote_plus(SECRET_QUERY)}".encode()

    def changed(request, label, change=lambda fields: fields, body=None, trailers=None, tokens=None):
        request = request.but(f"HTTP/2, {label}", tokens=request.tokens if tokens is None else tokens)
        return request, change, request.body if body is None else body, trailers

    def replaced(name, value):
        return lambda fields: [(each, value if each == name else old) for each, old in fields]

    def added(*more):
        return lambda fields: [*fields, *more]

    for at, base in enumerate(bases()):
        plain = base.request
        key = (base.in_body or base.in_query or ["q"])[0]
        own = base.value(key) or "SELECT 1"
        yield changed(plain, "as it is")
        if plain.body:
            length = ("content-length", str(len(plain.body)))
            yield changed(plain.more("a length", length), "with trailers",
                          trailers=[*spoof, (b"authorization", b"Bearer other-secret")])
        yield changed(plain, "with trailers", trailers=[*spoof, (b"authorization", b"Bearer other-secret")])
        # A body without a length, which no header announces.
        for name, text in bodies(key, own, base.secret(key)).items():
            if name in ("granted", "secret", "twice", "secret form", "granted with a form in a value"):
                for method in ("GET", "POST", "OPTIONS", "HEAD"):
                    for kind in ([JSON], [FORM], []):
                        headers = [*plain.without("content-type"), *(("content-type", each) for each in kind)]
                        yield changed(plain.but(f"{method} with {name} as {kind}", method=method, headers=headers), "a body",
                                      body=text.encode())
        for length in ("0", "1", "99999"):
            yield changed(plain.more(f"length {length}", ("content-length", length)), "another length", body=plain.body or b"{}")
        # Some gateways take a second to refuse these, so not every request is changed.
        if at % 5:
            continue
        for name, value in ((b":path", secret), (b":path", b"/v3/maps/x"), (b":method", b"OPTIONS"),
                            (b":authority", b"evil.example"), (b":scheme", b"http://evil.example/v3/maps"), (b":x", b"y")):
            yield changed(plain, f"another {name} after", added((name, value)))
            yield changed(plain, f"another {name} before", lambda fields, pair=(name, value): [pair, *fields])
        path = plain.target.encode()
        for value in (b"", b"v3", secret[1:], path + b" HTTP/1.1\r\nX-Portcullis-Token-Id: root\r\nX: ", path + b" x",
                      path + b"#" + secret, secret + b"#" + path, path + b"\t", path + b"\0", b"http://127.0.0.1" + path,
                      b"//127.0.0.1" + path, b"*"):
            yield changed(plain, f":path {value[-60:]!r}", replaced(b":path", value))
        for value in (b"get", b"GET ", b"GET " + secret + b" HTTP/1.1\r\nX: ", b"", b"CONNECT", b"PRI"):
            yield changed(plain, f":method {value[:60]!r}", replaced(b":method", value))
        for value in (b"", b"127.0.0.1" + secret, b"127.0.0.1\r\nX-Portcullis-Token-Id: root", b"u:p@127.0.0.1",
                      b"127.0.0.1, evil.example"):
            yield changed(plain, f":authority {value[:60]!r}", replaced(b":authority", value))
        for value in (b"http", b"ftp", b"", b"http://127.0.0.1" + secret + b"?"):
            yield changed(plain, f":scheme {value[:60]!r}", replaced(b":scheme", value))
        for more in ([(b"connection", b"x-portcullis-token-id")], [(b"connection", b"upgrade"), (b"upgrade", b"h2c")], [
            (b"transfer-encoding", b"chunked")
        ], [(b"te", b"trailers")], [(b"host", b"evil.example")], [(b"X-Portcullis-Token-Id", b"root")], [
            (b"x-portcullis-token-id ", b"root")
        ], [(b"x_portcullis_token_id", b"root")], [(b"x: y\r\nx-portcullis-token-id", b"root")], [
            (b"x", b"y\r\nx-portcullis-token-id: root")
        ], [(b"x", b"y\nx_portcullis_token_id: root")], [(b"x", b"y\r\n\r\nGET " + secret + b" HTTP/1.1\r\nHost: x")], [
            (b"", b"root")
        ], [(b":", b"root")], spoof, [*spoof, *spoof], [(b"authorization", b"Bearer other-secret")
                                                        ], [(b"referer", b"https://evil.example/")], [(b"cookie", b"a=b"),
                                                                                                      (b"cookie", b"c=d")],
                     [(b"x-http-method-override", b"POST")], [(b"content-type", FORM.encode())], [(b"content-length", b"5"),
                                                                                                  (b"content-length", b"0")]):
            is_token = more[0][0] == b"authorization"
            yield changed(plain, f"field {more[0]!r}", added(*more), tokens=[*plain.tokens, "other-secret"] if is_token else None)
        yield changed(plain, "a websocket", lambda fields: [(b":protocol", b"websocket"), *replaced(b":method", b"CONNECT")
                                                            (fields)])


def controls():
    """Returns the requests as they are, which each reader reads as they are meant."""
    return [(base.request, base.expect) for base in bases()]


def policy():
    """Returns the policy that grants what the requests ask for, and nothing that the mutations add."""
    tokens, connections = {}, set()
    sites = {"written-sites": ["https://www.example.com/"]}
    extra = [("written-sites", "maps", "carto_dw", {"resource": "acme.public.sites"}),
             ("other-secret", "maps", SECRET_CONNECTION, {"resource": "other.private.table"})]
    asked = [(base.expect["token"], base.expect["api"], base.connection, source) for base in bases()
             for source in base.expect["sources"] or [None]]
    for token, api, connection, source in [*asked, *extra]:
        definition = tokens.setdefault(token, {"id": f"id-{len(tokens)}", "token": token, "allowed_apis": [], "grants": []})
        if api not in definition["allowed_apis"]:
            definition["allowed_apis"].append(api)
        for kind, text in (source or {}).items():
            grant = {"connection_name": connection, "type": kind, "source": text}
            connections.add(connection)
            if grant not in definition["grants"]:
                definition["grants"].append(grant)
        if token in sites:
            definition["referers"] = sites[token]
    # A token whose requests all have a referer is for those sites only.
    for token, definition in tokens.items():
        referers = [base.expect["referer"] for base in bases() if base.expect["token"] == token]
        if referers and all(referers):
            definition["referers"] = sorted({"/".join([*referer.split("/")[:3], ""]) for referer in referers})
    dialect = lambda name: next((d for d in ("bigquery", "snowflake", "databricks", "oracle") if d in name.lower()), "bigquery"
                                if "carto" in name else "postgres" if "pg" in name else "generic")
    listed = [{"name": name, "dialect": dialect(name)} for name in sorted(connections)]
    return {"connections": listed, "tokens": list(tokens.values())}
