"""The stack as containers of podman's, and what was found out about it."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
WORK = pathlib.Path(os.environ.get("SLUICE_STACK_FOLDER", "/var/tmp/sluice-stack"))
SERVERS = pathlib.Path(os.environ.get("SLUICE_TEST_SERVERS") or REPOSITORY.parent / "shared/servers").resolve()
PROJECT = "sluice-stack"

failures = []


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def check(what, ok, detail=""):
    say(f"{'ok  ' if ok else 'FAIL'} {what}{f': {detail}' if detail and not ok else ''}")
    if not ok:
        failures.append(what)
    return ok


def run(*command, quiet=False, **options):
    done = subprocess.run(
        [str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    if done.returncode != 0 and not quiet:
        sys.exit(f"stack: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def eventually(what, seconds, condition):
    end = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() > end:
            say(f"waited {seconds} s for: {what}")
            return False
        time.sleep(0.5)


class Stack:
    def __init__(self):
        self.folder = WORK / "project/compose"
        shutil.rmtree(WORK / "project", ignore_errors=True)
        for part in ("compose", "grafana"):
            shutil.copytree(
                REPOSITORY / part, WORK / "project" / part, ignore=shutil.ignore_patterns("secrets", ".env")
            )
        with open(self.folder / "compose.yml") as file:
            definition = yaml.safe_load(file)
        self.services = definition["services"]
        # This machine's limits; and networks that podman otherwise routes between, which Docker never does.
        override = {
            "services": {
                name: {"ulimits": {"nofile": 20000, "nproc": 4096}}
                for name, service in self.services.items()
                if "ulimits" in service
            },
            "networks": {name: {"driver_opts": {"isolate": "true"}} for name in definition["networks"]},
        }
        (self.folder / "stack.yml").write_text(yaml.safe_dump(override))
        ports = free_ports(3)
        self.https, self.mqtts = ports[0], ports[1]
        os.environ |= {"HTTPS_PORT": str(ports[0]), "MQTTS_PORT": str(ports[1]), "GRAFANA_PORT": str(ports[2])}
        # Without this podman makes more of a read-only root writable than Docker does.
        self.compose = [
            "podman-compose",
            "-p",
            PROJECT,
            "--podman-run-args=--read-only-tmpfs=false",
            "-f",
            "compose.yml",
            "-f",
            "stack.yml",
        ]
        os.environ["COMPOSE"] = " ".join([*self.compose, "--profile tools"])

    def do(self, *words, **options):
        return run(*self.compose, *words, cwd=self.folder, **options)

    def name(self, service):
        return f"{PROJECT}_{service}_1"

    def init(self, *words):
        return run(sys.executable, self.folder / "init", *words)

    def secret(self, name):
        return (self.folder / "secrets" / name).read_text().strip()

    def inspect(self, service):
        return json.loads(run("podman", "container", "inspect", self.name(service)).stdout)[0]

    def process(self, service):
        return self.inspect(service)["State"]["Pid"]

    def address(self, service, network):
        return self.inspect(service)["NetworkSettings"]["Networks"][f"{PROJECT}_{network}"]["IPAddress"]

    def is_healthy(self, service):
        return run("podman", "healthcheck", "run", self.name(service), quiet=True).returncode == 0

    def inside(self, service, script):
        return run("podman", "exec", self.name(service), "bash", "-c", script, quiet=True)

    def start(self):
        """In the order of depends_on. There are no timers for health checks without systemd, so this asks them itself."""
        done = set()
        while waiting := [
            name for name, service in self.services.items() if name not in done and "profiles" not in service
        ]:
            for name in waiting:
                needs = self.services[name].get("depends_on", {})
                if not set(needs) <= done:
                    continue
                began = time.monotonic()
                self.do("up", "-d", "--no-build", "--no-deps", name)
                if self.services[name]["restart"] == "no":
                    run("podman", "wait", self.name(name))
                    state = self.inspect(name)["State"]
                    log = run("podman", "logs", self.name(name))
                    check(
                        f"{name} ends with 0 ({time.monotonic() - began:.0f} s)",
                        state["ExitCode"] == 0,
                        log.stdout + log.stderr,
                    )
                else:
                    healthy = eventually(f"{name} is healthy", 300, lambda: self.is_healthy(name))
                    log = "" if healthy else run("podman", "logs", self.name(name))
                    check(
                        f"{name} is healthy ({time.monotonic() - began:.0f} s)",
                        healthy,
                        log and log.stdout[-2000:] + log.stderr[-2000:],
                    )
                done.add(name)
                if failures:
                    return False
        return True

    def running(self):
        return [name for name, service in self.services.items() if service.get("restart") != "no"]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def clean(keep):
    names = run(
        "podman", "ps", "-a", "-q", "--filter", f"label=io.podman.compose.project={PROJECT}", quiet=True
    ).stdout.split()
    if names:
        run("podman", "rm", "-f", "-v", "-t", "2", *names, quiet=True)
    for kind in ("volume", "network"):
        names = run(
            "podman", kind, "ls", "-q", "--filter", f"label=io.podman.compose.project={PROJECT}", quiet=True
        ).stdout.split()
        if names:
            run("podman", kind, "rm", "-f", *names, quiet=True)
    shutil.rmtree(WORK / "project", ignore_errors=True)
    if not keep:
        run("podman", "rmi", "-a", "-f", quiet=True)
        for path in (WORK / "storage/overlay", WORK / "run"):
            run("umount", "-R", "-l", path, quiet=True)
        shutil.rmtree(WORK, ignore_errors=True)
