"""Sends requests as bytes, in HTTP/1.1 and HTTP/2, however odd they are."""

import collections
import contextlib
import socket
import ssl

import h2.config
import h2.connection
import h2.errors
import h2.events

# What a tunnel past the checks would carry.
SMUGGLED = b"GET /v3/maps/secret_dw/table?name=secret.private.payroll HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATIENCE = 4


def exchange(port, raw, timeout=PATIENCE):
    """Sends the bytes of a request; returns status and body, or 0 if there is no answer."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout)) as connection:
        answer = b""
        try:
            connection.sendall(raw)
            while not is_whole(answer, raw):
                more = connection.recv(65536)
                if not more:
                    break
                answer += more
            if answer.startswith(b"HTTP/1.1 101"):
                connection.sendall(SMUGGLED)
                connection.settimeout(0.5)
                connection.recv(65536)
        except OSError:
            # The gateway waits for more, or it closed before it had read all.
            pass
    head, body = split(answer)
    words = head.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body


def split(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    while end and head.startswith(b"HTTP/1.1 100"):
        head, end, body = body.partition(b"\r\n\r\n")
    return head, body


def is_whole(answer, raw):
    """Whether an answer has ended, by what delimits it."""
    head, body = split(answer)
    if b"\r\n\r\n" not in answer or not head:
        return False
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
    headers = {name: value.strip() for name, _, value in lines}
    if raw.startswith(b"HEAD ") or head.split(b" ", 2)[1] in (b"101", b"204", b"304"):
        return True
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        return body.endswith(b"0\r\n\r\n")
    return b"content-length" in headers and len(body) >= int(headers[b"content-length"])


class Connection2:
    """A connection in HTTP/2 that sends one request after the other. Without TLS the server must know that HTTP/2 comes."""

    def __init__(self, port, context=None, timeout=PATIENCE):
        config = h2.config.H2Configuration(client_side=True,
                                           header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False,
                                           validate_inbound_headers=False)
        self.state, self.sender = h2.connection.H2Connection(config), None
        # Whether another request may follow, and whether the server let the last one wait too long.
        self.is_reusable = self.has_waited = False
        plain = socket.create_connection(("127.0.0.1", port), timeout)
        try:
            self.sender = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        finally:
            if self.sender is None:
                plain.close()
        self.state.initiate_connection()

    def exchange(self, headers, body=b"", trailers=None):
        """Sends a request; returns status and body, or 0 if there is no answer.

        The headers, pseudo-headers among them, are sent as they are.
        """
        self.is_reusable, status, answer = False, 0, b""
        try:
            stream = self.state.get_next_available_stream_id()
            self.state.send_headers(stream, headers, end_stream=not body and not trailers)
            if body:
                self.state.send_data(stream, body, end_stream=not trailers)
            if trailers:
                self.state.send_headers(stream, trailers, end_stream=True)
            self.sender.sendall(self.state.data_to_send())
            while True:
                received = self.sender.recv(65536)
                if not received:
                    break
                has_ended, is_terminated = False, False
                for event in self.state.receive_data(received):
                    if isinstance(event, h2.events.ConnectionTerminated):
                        is_terminated = True
                    elif getattr(event, "stream_id", None) != stream:
                        # The end of an earlier request.
                        continue
                    elif isinstance(event, h2.events.ResponseReceived):
                        status = int(dict(event.headers)[":status"])
                    elif isinstance(event, h2.events.DataReceived):
                        answer += event.data
                        self.state.acknowledge_received_data(event.flow_controlled_length, stream)
                    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                        has_ended = True
                if has_ended or is_terminated:
                    self.is_reusable = not is_terminated
                    break
                self.sender.sendall(self.state.data_to_send())
        except TimeoutError:
            self.has_waited = True
        except (OSError, h2.exceptions.ProtocolError):
            pass
        return status, answer

    def close(self):
        self.sender.close()


def exchange2(port, headers, body=b"", trailers=None, timeout=PATIENCE, context=None):
    """Sends a request in HTTP/2 on a connection of its own; returns status and body, or 0 if there is no answer."""
    with contextlib.suppress(OSError), contextlib.closing(Connection2(port, context, timeout)) as connection:
        return connection.exchange(headers, body, trailers)
    return 0, b""


class Client2:
    """Sends requests in HTTP/2 from any thread. Keeps connections, as browsers do, while the server keeps them."""

    def __init__(self, port, context=None):
        self.port, self.context, self.idle = port, context, collections.deque()

    def exchange(self, headers, body=b"", trailers=None):
        """Sends a request; returns status and body, or 0 if there is no answer."""
        with contextlib.suppress(IndexError):
            kept = self.idle.pop()
            answer = self.through(kept, headers, body, trailers)
            # Otherwise the server ended the connection, maybe before it read this request.
            if answer[0] or kept.is_reusable or kept.has_waited:
                return answer
        with contextlib.suppress(OSError):
            return self.through(Connection2(self.port, self.context), headers, body, trailers)
        return 0, b""

    def through(self, connection, *request):
        found = connection.exchange(*request)
        if connection.is_reusable:
            self.idle.append(connection)
        else:
            connection.close()
        return found

    def close(self):
        while self.idle:
            self.idle.pop().close()


def trusting():
    """Returns a context for TLS that believes any certificate and offers HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context
