"""An upstream that keeps each request byte for byte as it arrives."""

import contextlib
import re
import socketserver
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n"
# A server that speaks another protocol from here on, which no gateway can follow.
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
PATIENCE = 3


def values(head, name):
    """Returns the values of a header of this name, in any case."""
    return re.findall(rb"(?im)^%s[ \t]*:[ \t]*([^\r\n]*)" % re.escape(name), head)


class Handler(socketserver.StreamRequestHandler):
    timeout = PATIENCE

    def handle(self):
        # A gateway that ends, or that ends a request early, closes its connections.
        with contextlib.suppress(OSError, ValueError):
            while self.request_arrives():
                pass

    def request_arrives(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline(1 << 20)
            if not line:
                if head:
                    self.server.keep(head)
                return False
            head += line
        if values(head, b"expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, length = b"", values(head, b"content-length")
        try:
            if any(b"chunked" in value.lower() for value in values(head, b"transfer-encoding")):
                body = self.chunks()
            elif length and int(length[0]):
                body = self.rfile.read(int(length[0]))
        finally:
            self.server.keep(head + body)
        upgrade = b", ".join(values(head, b"upgrade")).split(b",")[0].strip()
        if upgrade and b"upgrade" in b",".join(values(head, b"connection")).lower():
            self.wfile.write(SWITCHED % upgrade)
            with contextlib.suppress(OSError):
                self.server.tunnelled(head, self.connection.recv(65536))
            return False
        self.wfile.write(ANSWER if head.startswith(b"HEAD ") else ANSWER + b"upstream")
        return b"close" not in b",".join(values(head, b"connection")).lower()

    def chunks(self):
        raw = b""
        while True:
            line = self.rfile.readline(1 << 16)
            raw += line
            size = int(line.partition(b";")[0], 16)
            if not size:
                break
            raw += self.rfile.read(size + 2)
        while line.strip():
            line = self.rfile.readline(1 << 16)
            raw += line
        return raw


class Recorder(socketserver.ThreadingTCPServer):
    """Listens on a free port of loopback until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.tunnels, self.lock = [], [], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def keep(self, raw):
        with self.lock:
            self.seen.append(raw)

    def tunnelled(self, head, more):
        if more:
            with self.lock:
                self.tunnels.append((head, more))

    def take(self):
        """Returns what has arrived since the last time: requests, and tunnels with what came through each."""
        with self.lock:
            taken = self.seen, self.tunnels
            self.seen, self.tunnels = [], []
        return taken

    def handle_error(self, request, client_address):
        pass

    @property
    def port(self):
        return self.server_address[1]
