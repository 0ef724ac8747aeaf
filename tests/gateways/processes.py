"""Portcullis and the gateways as processes, each on free ports, all of them ended with the test."""

import contextlib
import functools
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "gateways"

# Name, file of the example, command, and whether the gateway passes a body on to Portcullis.
GATEWAYS = [
    ("envoy-grpc", "envoy-grpc.yaml", "envoy -c {} --concurrency 1 --use-dynamic-base-id -l error", True),
    ("envoy-http", "envoy-http.yaml", "envoy -c {} --concurrency 1 --use-dynamic-base-id -l error", True),
    ("nginx", "nginx.conf", "nginx -p {dir} -e stderr -c {} -g 'daemon off; pid nginx.pid;'", False),
    ("nginx-njs", "nginx-njs.conf", "nginx -p {dir} -e stderr -c {} -g 'daemon off; pid nginx.pid;'", True),
    ("caddy", "Caddyfile", "caddy run --adapter caddyfile --config {}", False),
    ("haproxy", "haproxy.cfg", "haproxy -db -f {}", True),
    ("haproxy-spoe", "haproxy-spoe.cfg", "haproxy -db -f {}", True),
    ("traefik", "traefik.yaml", "traefik --configFile={}", True),
]

# Gateways with the engine inside. Their policy is a file, and no Portcullis runs beside them.
IN_PROCESS = [
    ("envoy-module", "envoy-module.yaml", "envoy -c {} --concurrency 2 --use-dynamic-base-id -l warning", True),
    ("nginx-module", "nginx-module.conf", "nginx -p {dir} -e stderr -c {} -g 'daemon off; pid nginx.pid;'", True),
    ("nginx-lua", "nginx-lua.conf", "nginx -p {dir} -e stderr -c {} -g 'daemon off; pid nginx.pid;'", True),
]
POLICY = "/etc/portcullis/policy.json"
# What the documentation installs, and where it is in this repository.
INSTALLED = {
    "/usr/local/lib/libportcullis_c.so": os.environ.get("PORTCULLIS_LIBRARY", ""),
    "/usr/local/share/lua/5.1/": f"{EXAMPLES.parents[1]}/gateways/lua/lib/",
}


# The system gives these ports to outgoing connections, so one could take a port before its server listens.
FIRST_EPHEMERAL = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def free_port():
    """Returns a port that nobody uses, and that no outgoing connection takes."""
    while True:
        port = random.SystemRandom().randrange(10_000, FIRST_EPHEMERAL)
        with contextlib.closing(socket.socket()) as it, contextlib.suppress(OSError):
            it.bind(("127.0.0.1", port))
            return port


@functools.cache
def spoe_port(portcullis_port):
    """The port at which a Portcullis listens for HAProxy's SPOE."""
    return free_port()


# A test that is stopped ends its gateways, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Process:
    """A command that is up once its port accepts connections."""

    def __init__(self, command, port, cwd, log):
        self.port, self.log = port, pathlib.Path(log)
        environment = dict(os.environ, HOME=str(cwd), XDG_DATA_HOME=str(cwd), XDG_CONFIG_HOME=str(cwd))
        with open(log, "ab") as output:
            self.child = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, shell=isinstance(command, str), start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.closing(socket.socket()) as it:
                if it.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"{command}: does not listen\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    @contextlib.contextmanager
    def hanging(self):
        """It does nothing meanwhile, and the system takes connections for it."""
        self.child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.child.send_signal(signal.SIGCONT)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGTERM)
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def portcullis(binary, policy, port, directory, *options):
    command = [binary, "serve", "--policy", str(policy), "--listen", f"127.0.0.1:{port}",
               "--admin", f"127.0.0.1:{free_port()}", "--spoe", f"127.0.0.1:{spoe_port(port)}", "--cors-origin", "*", "--drain", "1", *options]
    return Process(command, port, directory, directory / "portcullis.log")


# Folders of the services that the examples are installed for.
FOLDERS = ("/etc/envoy", "/etc/caddy", "/etc/haproxy", "/run/haproxy", "/etc/traefik", "/var/log/nginx")


def as_other_user(text):
    """HAProxy changes its root and its user only as root."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[:1] not in (["chroot"], ["user"], ["group"]))


def link_modules(directory):
    """The modules of the distribution and our own in one folder."""
    directory.mkdir()
    for folder in ("/usr/lib/nginx/modules", os.environ.get("PORTCULLIS_NGINX_MODULES", "")):
        for module in pathlib.Path(folder).glob("*.so") if folder else ():
            (directory / module.name).symlink_to(module)


def gateway(name, file, command, directory, portcullis_port, upstream_port, examples=None, policy=POLICY):
    """The gateway with the files of the examples, in which only ports and folders are others."""
    port, second = free_port(), free_port()
    directory = directory / name
    directory.mkdir()
    ports = {"8080": port, "8181": portcullis_port, "8184": spoe_port(portcullis_port), "9000": upstream_port, "2019": second}
    for source in (examples or EXAMPLES).iterdir():
        text = source.read_text().replace("{root}", str(EXAMPLES.parents[1]))
        for old, new in ports.items():
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
            text = text.replace(f"address: 127.0.0.1, port_value: {old}", f"address: 127.0.0.1, port_value: {new}")
        for folder in FOLDERS:
            text = text.replace(f"{folder}/", f"{directory}/")
        for installed, built in {**INSTALLED, POLICY: str(policy)}.items():
            text = text.replace(installed, built)
        if source.name.startswith("haproxy") and os.geteuid() != 0:
            text = as_other_user(text)
        (directory / source.name).write_text(text)
    if name.startswith("nginx"):
        link_modules(directory / "modules")
    program = shutil.which(command.split()[0])
    if program is None:
        raise SystemExit(f"{command.split()[0]} is not installed")
    process = Process(command.format(directory / file, dir=directory), port, directory, directory / "log")
    process.second = second
    return process
