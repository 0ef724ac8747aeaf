"""An upstream that records its requests and returns them in its answers."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): self.headers.get_all(name) for name in self.headers}
        seen = {"method": self.command, "path": self.path, "headers": headers, "body": body.decode("utf-8", "replace")}
        self.server.seen.append(seen)
        text = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("access-control-allow-origin", "*")
        self.send_header("access-control-allow-headers", "authorization, content-type")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Upstream(ThreadingHTTPServer):
    """Listens on a free port of loopback until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def settled(self, before):
        """Returns what arrived after the first `before` requests; also a little later, from requests that nobody waits for."""
        time.sleep(0.02)
        return self.seen[before:]

    def handle_error(self, request, client_address):
        # A gateway that is stopped resets its connections.
        pass

    @property
    def port(self):
        return self.server_address[1]
