"""Runs the gateways with the engine inside: tests/gateways/inprocess.py PORTCULLIS [GATEWAY…].

The requests are those of the gateways that ask Portcullis. The failures differ: the policy is a file of the gateway.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import drive
import processes
from upstream import Upstream

DEMO = (drive.ROOT / "examples" / "policy.json").read_text()
GOOD = {"id": "good", "method": "GET", "url": "/v3/maps/carto_dw/table?name=acme.public.stores",
        "headers": {"authorization": "Bearer demo-store-map", "referer": drive.SITE}, "body": None}


def posted(request):
    return {**request, "method": "POST", "headers": {**request["headers"], "content-type": "application/json"}, "body": "{}"}


def replace(path, text):
    """Replaces a policy as the documentation asks for."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@contextlib.contextmanager
def running(of, directory, upstream, policy):
    name, file, command, _ = of
    directory.mkdir()
    gateway = processes.gateway(name, file, command, directory, processes.free_port(), upstream.port, policy=policy)
    try:
        yield gateway
    finally:
        gateway.stop()


def wait(name, port, expected):
    """Waits until the gateway answers the good request with this status."""
    deadline = time.monotonic() + 20
    while (found := drive.send(port, GOOD)[0]) != expected:
        if time.monotonic() > deadline:
            drive.check(False, name, "answers", found, "and never", expected)
            return
        time.sleep(0.05)


def denies_without_policy(of, directory, upstream):
    """A policy that is missing or damaged at the start denies with 503, until it is valid. Then the last good one stays."""
    name = of[0]
    for what, damaged in (("missing", None), ("damaged", "{"), ("empty", ""), ("truncated", DEMO[:300])):
        policy = directory / f"{what}.json"
        if damaged is not None:
            policy.write_text(damaged)
        with running(of, directory / what, upstream, policy) as gateway:
            before = len(upstream.seen)
            for request in (GOOD, {**GOOD, "method": "HEAD"}, posted(GOOD)):
                status, _, body = drive.send(gateway.port, request)
                is_reason = request["method"] == "HEAD" or json.loads(body).get("reason") == "policy_unavailable"
                drive.check(status == 503 and is_reason, name, "with a policy that is", what, "answers", status, body)
            drive.check(len(upstream.seen) == before, name, "with a policy that is", what, "passes requests")
            replace(policy, DEMO)
            wait(name, gateway.port, 200)
            for text in ("{", "", DEMO[:300]):
                replace(policy, text)
                time.sleep(1.3)
                status, _, body = drive.send(gateway.port, GOOD)
                drive.check(status == 200, name, "forgets the last good policy:", status, body)
                if what != "missing":
                    break
            policy.unlink()
            time.sleep(1.3)
            drive.check(drive.send(gateway.port, GOOD)[0] == 200, name, "forgets the last good policy without the file")
            replace(policy, DEMO.replace("acme.public.stores", "acme.public.other"))
            wait(name, gateway.port, 403)
    print(f"{name}: policies that are missing or damaged", flush=True)


def reports_errors(of, directory, upstream):
    """The log has the reason why a version is not valid, once. A policy that workers cannot read denies."""
    name = of[0]
    policy = directory / "logged.json"
    policy.write_text(DEMO)
    with running(of, directory / "logged", upstream, policy) as gateway:
        wait(name, gateway.port, 200)
        replace(policy, '{"tokens": [{"id": "secret-of-nobody"}]}')
        deadline = time.monotonic() + 10
        while "logged.json" not in gateway.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2.5)
        text = gateway.log.read_text()
        drive.check(text.count("error[missing_field]") == 1 and "secret-of-nobody" not in text, name, "logs", text[-1500:])
    if os.geteuid() == 0 and name.startswith("nginx"):
        # nginx starts as root, and its workers are another user.
        hidden = directory / "hidden"
        hidden.mkdir(mode=0o700)
        (hidden / "policy.json").write_text(DEMO)
        with running(of, directory / "unreadable", upstream, hidden / "policy.json") as gateway:
            status, _, body = drive.send(gateway.port, GOOD)
            drive.check(status == 503, name, "with a policy that workers cannot read:", status, body)
            time.sleep(1.5)
            text = gateway.log.read_text()
            drive.check("ermission denied" in text, name, "logs", text[-1500:])
            hidden.chmod(0o755)
            wait(name, gateway.port, 200)


def follows_registry(of, directory, upstream, binary):
    """A token of a registry decides until it is deleted. Without the registry, the last policy stays."""
    name = of[0]
    folder = directory / "registry"
    folder.mkdir(mode=0o755)
    url = f"sqlite:{folder}/registry.db"

    def command(*arguments):
        found = subprocess.run([binary, *arguments, "--db", url], check=True, capture_output=True, text=True)
        return found.stdout

    def token(source):
        created = json.loads(command("credentials", "create", "token", "--apis", "maps", "--connection", "carto_dw",
                                     "--source", source, "--format", "json"))
        return created["id"], created["token"]

    def status(secret, source):
        request = {**GOOD, "url": f"/v3/maps/carto_dw/table?name={source}", "headers": {"authorization": f"Bearer {secret}"}}
        return drive.send(gateway.port, request)[0]

    def becomes(expected, *asked):
        deadline = time.monotonic() + 20
        while (found := status(*asked)) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        drive.check(found == expected, name, "with a registry answers", found, "and never", expected)

    command("connections", "add", "carto_dw", "--dialect", "bigquery")
    (removed_id, removed), (_, kept) = token("a.b.removed"), token("a.b.kept")
    for path in folder.iterdir():
        # Workers of nginx are another user.
        path.chmod(0o644)
    with running(of, directory / "registry-gateway", upstream, url) as gateway:
        becomes(200, removed, "a.b.removed")
        command("credentials", "delete", "token", removed_id, "--force")
        becomes(401, removed, "a.b.removed")
        folder.rename(directory / "registry-gone")
        time.sleep(2.5)
        becomes(200, kept, "a.b.kept")
    print(f"{name}: a registry", flush=True)


def requests(of, directory, upstream):
    """The requests, forged headers, targets and preflights of all gateways."""
    name, has_body = of[0], of[3]
    own = drive.lines(pathlib.Path(drive.__file__).with_name("requests.jsonl"))
    policy = directory / "requests.json"
    policy.write_text(DEMO)
    with running(of, directory / "requests", upstream, policy) as gateway:
        drive.passes(name, gateway.port, upstream, own, {request["id"] for request in own if request["allow"]}, has_body)
        drive.spoofs(name, gateway.port, upstream)
        drive.targets(name, gateway.port, upstream)
        drive.preflights(name, gateway.port, upstream)
    print(f"{name}: {len(own)} requests of our own, spoofed headers, preflights", flush=True)


def recorded(of, directory, upstream, binary):
    """The recorded requests: Portcullis decides what is right."""
    name, has_body = of[0], of[3]
    vectors = drive.lines(drive.VECTORS) if drive.VECTORS.exists() else []
    if not vectors:
        print("recorded requests: skipped, the file is missing")
        return
    policy = directory / "recorded.json"
    policy.write_text(json.dumps(drive.policy_of(vectors)))
    port = processes.free_port()
    server = processes.portcullis(binary, policy, port, directory)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(server.stop)
        allowed = drive.decided(port, vectors)
        with running(of, directory / "recorded", upstream, policy) as gateway:
            drive.passes(name, gateway.port, upstream, vectors, allowed, has_body)
    print(f"{name}: {len(vectors)} recorded requests, {len(allowed)} of them allowed", flush=True)


def plugins(of, directory, upstream):
    """The plugins for Kong and APISIX, which cannot be installed here, with stubs of the interfaces of these gateways."""
    name, _, command, _ = of
    directory = directory / "plugins"
    directory.mkdir()
    policy = directory / "policy.json"
    own = drive.lines(pathlib.Path(drive.__file__).with_name("requests.jsonl"))
    gateway = processes.gateway(name, "nginx.conf", command, directory, processes.free_port(), upstream.port,
                                pathlib.Path(__file__).with_name("plugins"), policy)
    with contextlib.ExitStack() as stack:
        stack.callback(gateway.stop)
        for plugin, port in (("kong", gateway.port), ("apisix", gateway.second)):
            before = len(upstream.seen)
            status, _, body = drive.send(port, GOOD)
            is_unavailable = status == 503 and json.loads(body)["reason"] == "policy_unavailable"
            drive.check(is_unavailable and len(upstream.seen) == before, plugin, "without a policy:", status, body)
        replace(policy, DEMO)
        for plugin, port in (("kong", gateway.port), ("apisix", gateway.second)):
            wait(plugin, port, 200)
            drive.passes(plugin, port, upstream, own, {request["id"] for request in own if request["allow"]}, True)
            drive.spoofs(plugin, port, upstream)
            drive.preflights(plugin, port, upstream)
    print("kong, apisix: the plugins, with stubs of their interfaces", flush=True)


def main(binary, wanted):
    for of in processes.IN_PROCESS:
        if wanted and of[0] not in wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch, Upstream() as upstream:
            directory = pathlib.Path(scratch)
            # Workers of nginx are another user, who reads the policy.
            directory.chmod(0o755)
            requests(of, directory, upstream)
            recorded(of, directory, upstream, binary)
            denies_without_policy(of, directory, upstream)
            reports_errors(of, directory, upstream)
            follows_registry(of, directory, upstream, binary)
            if of[0] == "nginx-lua":
                plugins(of, directory, upstream)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
    sys.exit(f"{len(drive.problems)} problems" if drive.problems else 0)
