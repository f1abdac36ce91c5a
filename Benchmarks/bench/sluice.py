"""How Sluice is started."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed, Skipped
from bench.workspace import ROOT, SLUICE, Command, Workspace

_ENVIRONMENT = {"SLUICE_LOG_LEVEL": "warning", "SLUICE_AUTH": "off"}


@dataclass(frozen=True)
class Role:
    """A running `sluice ingest`, `bridge` or `sink`."""

    child: Child
    management_port: int
    settings: dict[str, str]

    @property
    def http_port(self) -> int:
        """Where ingest takes readings."""
        return int(self.settings["http-listen"].rpartition(":")[2])

    def metrics(self) -> dict[str, float]:
        """What /metrics says, by name with labels as they are written there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        except (OSError, http.client.HTTPException) as error:
            raise ContenderFailed(f"{self.child.name} has no metrics: {error}") from None
        finally:
            connection.close()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def wait_until_ready(self, timeout: float = 30) -> float:
        """Seconds from its start to the first 200 of /readyz."""
        answer = "no answer"
        while time.monotonic() < self.child.started + timeout:
            connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                response = connection.getresponse()
                answer = f"{response.status} {response.read(200)!r}"
                if response.status == 200:
                    return time.monotonic() - self.child.started
            except OSError as error:
                answer = str(error)
            finally:
                connection.close()
            if not self.child.is_running:
                raise ContenderFailed(f"{self.child.name} ended: {self.child.last_lines()}")
            time.sleep(0.002)
        raise ContenderFailed(f"{self.child.name} is not ready after {timeout:.0f} s: {answer}")


def start(workspace: Workspace, role: str, settings: dict[str, str], environment: dict[str, str] | None = None) -> Role:
    """Starts a role with a management address of its own; settings are flags without the dashes."""
    check_built()
    port = workspace.free_ports()
    command: Command = [SLUICE, role, *_flags(settings | {"management-listen": f"127.0.0.1:{port}"})]
    return Role(workspace.start(f"sluice {role}", command, _ENVIRONMENT | (environment or {})), port, settings)


@contextmanager
def running(bench: Bench, role: str, settings: dict[str, str]) -> Iterator[Role]:
    """A role that is ready, and ends with the block."""
    started = start(bench.workspace, role, settings)
    try:
        started.wait_until_ready()
        yield started
    finally:
        bench.workspace.end(started.child)


def settings(bench: Bench, role: str, topic: str, database: str = "") -> dict[str, str]:
    """What a role has to be told to work on the servers of this run; the database's name is the group's, too."""
    kafka = {"kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    match role:
        case "ingest":
            return kafka | {"http-listen": f"127.0.0.1:{bench.workspace.free_ports()}"}
        case "bridge":
            return kafka | {"mqtt-url": bench.mosquitto.url}
        case _:
            return kafka | _database(bench, database) | {"kafka-group": database}


def prepare_database(bench: Bench, topic: str, database: str, layout: str = "timeseries") -> None:
    """Makes the collections and indexes that a sink needs."""
    kafka = {"kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    setup(bench.workspace, kafka | _database(bench, database) | {"mongodb-layout": layout})


def setup(workspace: Workspace, settings: dict[str, str]) -> None:
    """Makes topics, collections and indexes."""
    check_built()
    workspace.run("sluice setup", [SLUICE, "setup", *_flags(settings)], _ENVIRONMENT)


def _database(bench: Bench, name: str) -> dict[str, str]:
    return {"mongodb-uri": bench.mongodb.uri, "mongodb-database": name}


def check_built() -> None:
    """Raises `Skipped` when there is no program."""
    if not SLUICE.exists():
        raise Skipped(f"{SLUICE.relative_to(ROOT)} is not there; build it: make build")


def _flags(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]
