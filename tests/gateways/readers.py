"""Map services on real frameworks, which report what they would read for the bytes of a request."""

import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import socket

import processes

HERE = pathlib.Path(__file__).resolve().parent / "readers"
TARGET = HERE.parents[2] / "target" / "gateways"
JARS = ":".join(f"/usr/share/java/{name}.jar" for name in
                ("tomcat10-embed-core", "tomcat10-annotations-api", "jackson-core", "jackson-databind", "jackson-annotations"))

# Name and command of each reader.
READERS = [
    # Without its configuration file, as in the images that PHP itself publishes.
    ("php", "php -n -d display_errors=stderr -S 127.0.0.1:{port} {here}/map.php"),
    ("rack", "puma --silent --threads 4:4 --bind tcp://127.0.0.1:{port} {here}/map.ru"),
    ("tomcat", "java -Xshare:auto -XX:TieredStopAtLevel=1 -cp {jars}:{target}/bin Service {port} {dir}"),
    ("express", "node {here}/express.js {port} {target}/npm express"),
    ("express5", "node {here}/express.js {port} {target}/npm express5"),
    ("flask", "{target}/venv/bin/python {here}/map.py {port}"),
    ("go", "{target}/bin/map {port}"),
]
# Longer than any of them takes to answer; those that wait for more of a request do so in vain.
PATIENCE = 2


class Reader:
    """A map service that runs as a process of its own."""

    def __init__(self, name, command, directory):
        self.name, self.port = name, processes.free_port()
        directory = directory / f"reader-{name}"
        directory.mkdir()
        words = command.format(port=self.port, here=HERE, target=TARGET, jars=JARS, dir=directory).split()
        os.environ.setdefault("PHP_CLI_SERVER_WORKERS", "2")
        self.process = processes.Process(words, self.port, directory, directory / "log")

    def report(self, raw):
        """Returns what the service reports for these bytes, or `None` if it refuses them."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), PATIENCE)) as connection:
            answer = b""
            try:
                connection.sendall(raw)
                while b"\r\n\r\n" not in answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""):
                    more = connection.recv(65536)
                    if not more:
                        break
                    answer += more
            except OSError:
                # It closed the connection, or it waits for more of the request than reached the upstream.
                pass
        for line in answer.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"x-report":
                return json.loads(base64.b64decode(value))
        return None

    def reports(self, raws):
        """Returns the report for each of these requests, in order."""
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            return list(pool.map(self.report, raws))

    def stop(self):
        self.process.stop()


def start(stack, directory):
    """Starts all readers at once, since some take seconds."""
    with concurrent.futures.ThreadPoolExecutor(len(READERS)) as pool:
        readers = list(pool.map(lambda each: Reader(*each, directory), READERS))
    for reader in readers:
        stack.callback(reader.stop)
    return readers
