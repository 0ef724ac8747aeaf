"""Sends requests as bytes, in HTTP/1.1 and HTTP/2, however odd they are."""

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


def exchange2(port, headers, body=b"", trailers=None, timeout=PATIENCE, context=None):
    """Sends a request in HTTP/2; returns status and body, or 0 if there is no answer.

    The headers, pseudo-headers among them, are sent as they are. Without TLS the server must know that HTTP/2 comes.
    """
    config = h2.config.H2Configuration(client_side=True,
                                       header_encoding="utf-8", validate_outbound_headers=False,
                                       normalize_outbound_headers=False,
                                       validate_inbound_headers=False)
    connection = h2.connection.H2Connection(config)
    status, answer = 0, b""
    with contextlib.closing(socket.create_connection(
        ("127.0.0.1", port), timeout)) as plain, contextlib.suppress(OSError, h2.exceptions.ProtocolError):
        sender = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        connection.initiate_connection()
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, headers, end_stream=not body and not trailers)
        if body:
            connection.send_data(stream, body, end_stream=not trailers)
        if trailers:
            connection.send_headers(stream, trailers, end_stream=True)
        sender.sendall(connection.data_to_send())
        while True:
            received = sender.recv(65536)
            if not received:
                break
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    answer += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    return status, answer
            sender.sendall(connection.data_to_send())
    return status, answer


def trusting():
    """Returns a context for TLS that believes any certificate and offers HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context
