"""Load over HTTP: requests by wrk, WebSockets by a C program."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench import ceilings
from bench.child import Child
from bench.workspace import BENCHMARKS, Command, Workspace


@dataclass(frozen=True)
class Load:
    requests: int
    """Answered, with any status; messages, for a WebSocket."""
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    """Answers that were not 2xx, or accepted not all."""
    failed: int
    """Connections refused, broken, or without an answer for 10 s."""

    @property
    def accepted(self) -> int:
        return self.requests - self.bad_status


@dataclass(frozen=True)
class Bodies:
    """What requests carry in turn."""

    path: Path
    """Of a file with the length of each body in a line, and then its bytes."""
    readings: int
    """In each."""
    content_type: str
    encoding: str | None

    @classmethod
    def write(
        cls,
        path: Path,
        bodies: Iterable[bytes],
        readings: int = 1,
        content_type: str = "application/json",
        encoding: str | None = None,
    ) -> Self:
        path.write_bytes(b"".join(b"%d\n%b" % (len(body), body) for body in bodies))
        return cls(path, readings, content_type, encoding)


def post(
    workspace: Workspace, bodies: Bodies, connections: int, port: int, seconds: int, key: Path | None = None
) -> Load:
    """One request at a time on each connection; with the key in this file, if any."""
    return finish(workspace, start_post(workspace, bodies, connections, port, seconds, key), seconds)


def start_post(
    workspace: Workspace, bodies: Bodies, connections: int, port: int, seconds: int, key: Path | None = None
) -> Child:
    """The same in the background, until `finish`."""
    command: Command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--latency", "--script", BENCHMARKS / "lua" / "post.lua"]
    command += [f"http://127.0.0.1:{port}", "--", bodies.path, bodies.content_type]
    if bodies.encoding:
        command.append(bodies.encoding)
    return workspace.start("wrk", command, {"SLUICE_BENCH_KEY": str(key)} if key else None)


def stream(workspace: Workspace, bodies: Bodies, connections: int, in_flight: int, port: int, seconds: int) -> Load:
    """WebSockets that each have so many messages unanswered."""
    program = ceilings.program(workspace, "stream_load")
    command: Command = [program, str(port), str(connections), str(in_flight), str(seconds), bodies.path]
    return finish(workspace, workspace.start("stream_load", command), seconds)


def finish(workspace: Workspace, child: Child, seconds: int) -> Load:
    """Waits for the end of a load of so many seconds."""
    return Load(**json.loads(workspace.finish(child, seconds + 60).splitlines()[-1]))
