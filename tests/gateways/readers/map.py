"""A map service on Flask. It reports what it reads in the header `X-Report`."""

import base64
import json
import sys

from flask import Blueprint, Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
service = Blueprint("service", __name__)


class MethodOverride:
    """The middleware of Flask's documentation."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        if method in METHODS:
            environ["REQUEST_METHOD"] = method
        return self.app(environ, start_response)


def texts(value):
    """Returns every text in a parameter's value: an application may take the first, the last or all of them."""
    if isinstance(value, str):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for each in values for text in texts(each)]


def views():
    body = request.get_json(force=True, silent=True)
    body = body if isinstance(body, dict) else {}
    query, form, both = (each.to_dict(flat=False) for each in (request.args, request.form, request.values))
    return [query, form, both, body, {**both, **body}, {**body, **both}]


def report(api, connection, *parameters, path=()):
    reads = [[api, "resource", connection, text] for text in path]
    if request.method != "OPTIONS":
        for view in views():
            reads += [[api, kind, connection, text] for kind, name in parameters for text in texts(view.get(name))]
    return answer([] if request.method == "OPTIONS" else reads)


def answer(reads):
    found = [read for at, read in enumerate(reads) if read not in reads[:at]]
    content = {"method": request.method, "reads": found, "token_id": request.headers.get("X-Portcullis-Token-Id", ""),
            "tokens": request.values.getlist("access_token")}
    return "", 200, {"X-Report": base64.b64encode(json.dumps(content).encode()).decode()}


def route(*paths):
    def add(function):
        for path in paths:
            service.add_url_rule(path, endpoint=function.__name__, view_func=function, methods=METHODS)
        return function
    return add


@route(*(f"/maps/<connection>/{kind}{below}" for kind in ("table", "tileset", "raster") for below in ("", "/<path:below>")))
def resource(connection, below=""):
    return report("maps", connection, ("resource", "name"))


@route("/maps/<connection>/query", "/maps/<connection>/query/<path:below>")
def query(connection, below=""):
    return report("maps", connection, ("q", "q"))


@route("/maps/<connection>/boundary", "/maps/<connection>/boundary/<path:below>")
def boundary(connection, below=""):
    return report("maps", connection, ("resource", "tilesetTableName"), ("resource", "propertiesTableName"),
                  ("query", "propertiesSqlQuery"))


@route("/sql/<connection>/query", "/sql/<connection>/job")
def sql(connection):
    return report("sql", connection, ("q", "q"))


@route("/sql/<connection>/model/<model>")
def model(connection, model):
    if request.method == "OPTIONS":
        return answer([])
    return answer([["model", "q" if kind == "query" else "resource", connection, text]
                   for view in views() for kind in texts(view.get("type")) for text in texts(view.get("source"))])


@route("/stats/<connection>/<source>/<column>")
def stats(connection, source, column):
    return report("maps", connection, ("q", "q"), path=[source])


@route("/stats/<connection>/<column>")
def stats_of_query(connection, column):
    return report("maps", connection, ("q", "q"))


@route("/imports/<connection>")
def imports(connection):
    return report("imports", connection, ("resource", "destination"))


@route("/lds/<path:below>")
def lds(below):
    return answer([])


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


app = Flask(__name__)
app.register_blueprint(service, url_prefix="/v3", name="v3")
app.register_blueprint(service, url_prefix="/api/v3", name="api")
app.wsgi_app = MethodOverride(app.wsgi_app)
make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Quiet).serve_forever()
