"""Runs the gateways with the engine inside under load: tests/gateways/endurance.py [GATEWAY…].

- 1,000 versions of a policy: no wrong answer, flat memory.
- `kill -9` of a worker: nothing opens, also what was revoked after the start.
- Fork after load: workers have one thread for each policy, and keep no file open.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

import drive
import inprocess
import processes
# RELOADS sets the number for all gateways.
RELOADS = {"nginx-module": 1000, "nginx-lua": 250}
CLIENTS = 3
# What the memory of a worker may grow by while the policy is replaced, in KiB. The first versions fill the allocator.
WARM, GROWTH = 60, 6 << 10
# Two workers, a file that is checked every 10 ms, and an upstream in nginx that is fast.
CHANGES = [("events {}", "worker_processes 2;\nevents {}"),
           ("server 127.0.0.1:9000;", "server 127.0.0.1:2019;"),
           ("    server {\n", "    server { listen 127.0.0.1:2019; location / { return 200 upstream; } }\n    server {\n"),
           (f"portcullis_policy {processes.POLICY};", f"portcullis_policy {processes.POLICY};\n    portcullis_poll_interval 10ms;"),
           (f'policy = "{processes.POLICY}",', f'policy = "{processes.POLICY}", poll_interval = 0.01,')]
SOURCES = {"always": "acme.public.always", "never": "acme.public.never", "turns": "acme.public.turns"}


def policy(is_granted, version=0):
    sources = [SOURCES["always"], f"acme.public.version_{version}"] + [SOURCES["turns"]] * is_granted
    grants = [{"connection_name": "dw", "source": source} for source in sources]
    return json.dumps({"tokens": [{"id": "t", "token": "secret-of-t", "allowed_apis": ["maps"], "grants": grants}]})


def ask(connection, name):
    """The status of a request; 0 if the connection ended, as it does with its worker."""
    try:
        connection.request("GET", f"/v3/maps/dw/table?name={SOURCES[name]}", headers={"authorization": "Bearer secret-of-t"})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status if answer.status == 200 or b'"reason"' in body else -answer.status
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0


class Load:
    """Clients that ask until the end, and count each answer."""

    def __init__(self, port):
        self.port, self.counts, self.lock, self.stop = port, {}, threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client) for _ in range(CLIENTS)]

    def client(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        counts = {}
        while not self.stop.is_set():
            for name in SOURCES:
                answer = name, ask(connection, name)
                counts[answer] = counts.get(answer, 0) + 1
        connection.close()
        with self.lock:
            for answer, count in counts.items():
                self.counts[answer] = self.counts.get(answer, 0) + count

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def workers(gateway):
    """The processes of the workers: `Process` starts nginx in a shell."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text().partition(" ")
            parents[int(pid)] = int(rest.rpartition(") ")[2].split()[1])
    below, found = {gateway.child.pid}, True
    while found:
        found = {pid for pid, parent in parents.items() if parent in below and pid not in below}
        below |= found
    names = {pid: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in below if pathlib.Path(f"/proc/{pid}").exists()}
    return sorted(pid for pid, name in names.items() if name.startswith(b"nginx: worker process"))


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def until(what, is_true, seconds=20):
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            drive.check(False, what, "does not happen")
            return
        time.sleep(0.005)


def reloads(name, gateway, path, count):
    """Each version alternately grants a source. Answers follow, in every worker, and the others never change."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    before, grown = workers(gateway), {}
    with Load(gateway.port) as load:
        for version in range(count):
            is_granted = version % 2 == 0
            inprocess.replace(path, policy(is_granted, version))
            until(f"{name}: version {version}", lambda: ask(connection, "turns") == (200 if is_granted else 403))
            if version == WARM:
                grown = {pid: memory(pid) for pid in before}
    wrong = {answer: many for answer, many in load.counts.items()
             if answer not in (("always", 200), ("never", 403), ("turns", 200), ("turns", 403))}
    drive.check(not wrong, name, "gives wrong answers while the policy is replaced:", wrong)
    drive.check(workers(gateway) == before, name, "has other workers after the reloads")
    more = {pid: memory(pid) - grown[pid] for pid in before if pid in grown}
    drive.check(len(more) == 2 and all(value < GROWTH for value in more.values()), name, "grows by KiB:", more)
    print(f"{name}: {count} versions, {sum(load.counts.values())} answers, memory grew by {sorted(more.values())} KiB", flush=True)


def kills(name, gateway, path):
    """A worker that replaces a killed one never allows what was revoked since the start, when the master opened the policy."""
    inprocess.replace(path, policy(False))
    until(f"{name}: revoked", lambda: all(ask(http.client.HTTPConnection("127.0.0.1", gateway.port), "turns") == 403 for _ in range(20)))
    with Load(gateway.port) as load:
        for _ in range(8):
            before = workers(gateway)
            os.kill(before[0], signal.SIGKILL)
            until(f"{name}: another worker", lambda: len(workers(gateway)) == 2 and workers(gateway) != before)
            time.sleep(0.1)
    wrong = {answer: many for answer, many in load.counts.items()
             if answer[1] != 0 and answer not in (("always", 200), ("never", 403), ("turns", 403))}
    drive.check(not wrong and load.counts.get(("always", 200)), name, "after `kill -9` of workers answers", load.counts)
    # A version that is damaged meanwhile must not bring back the first one.
    inprocess.replace(path, "{")
    for pid in workers(gateway):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    found = {ask(http.client.HTTPConnection("127.0.0.1", gateway.port), "turns") for _ in range(20)}
    drive.check(found <= {503}, name, "after `kill -9` with a damaged policy answers", found)
    inprocess.replace(path, policy(True))
    until(f"{name}: valid again", lambda: ask(http.client.HTTPConnection("127.0.0.1", gateway.port), "turns") == 200)
    print(f"{name}: workers that are killed", flush=True)


def processes_after_fork(name, gateway, path):
    """The master has one thread, each worker one more for its policy, and none keeps the policy open."""
    # The master listens before it has started its workers.
    until(f"{name}: two workers", lambda: len(workers(gateway)) == 2)
    pids = workers(gateway)
    master = int(pathlib.Path(f"/proc/{pids[0]}/stat").read_text().rpartition(") ")[2].split()[1])
    threads = lambda pid: sorted((task / "comm").read_text().strip() for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    drive.check(threads(master) == ["nginx"], name, "has threads in the master:", threads(master))
    for pid in pids:
        until(f"{name}: the threads of a worker", lambda: threads(pid) == ["nginx", "pcl-policy"], 3)
        files = {os.readlink(file) for file in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        drive.check(not any(str(path) in file for file in files), name, "keeps the policy open:", files)
    # A signal to a worker itself reaches its event loop, although another thread runs.
    os.kill(pids[0], signal.SIGTERM)
    until(f"{name}: SIGTERM ends a worker, and another one starts",
          lambda: pids[0] not in workers(gateway) and len(workers(gateway)) == len(pids), 3)


def main(wanted):
    for name, file, command, _ in processes.IN_PROCESS:
        if name not in RELOADS or wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            directory = pathlib.Path(scratch)
            directory.chmod(0o755)
            examples = directory / "examples"
            examples.mkdir()
            text = (processes.EXAMPLES / file).read_text()
            for old, new in CHANGES:
                text = text.replace(old, new, 1)
            (examples / file).write_text(text)
            path = directory / "policy.json"
            path.write_text(policy(True))
            gateway = processes.gateway(name, file, command, directory, processes.free_port(), processes.free_port(), examples, path)
            stack.callback(gateway.stop)
            processes_after_fork(name, gateway, path)
            reloads(name, gateway, path, int(os.environ.get("RELOADS", RELOADS[name])))
            kills(name, gateway, path)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.exit(f"{len(drive.problems)} problems" if drive.problems else 0)
