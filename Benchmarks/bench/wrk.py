"""HTTP load by wrk."""

import json
from dataclasses import dataclass
from pathlib import Path

from bench import readings
from bench.child import Child
from bench.workspace import BENCHMARKS, Command, Workspace

DEVICES = 1_000


@dataclass(frozen=True)
class Load:
    requests: int
    """Answered, with any status."""
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    """Answers that were not 2xx."""
    failed: int
    """Connections refused, broken, or without an answer for 10 s."""


def post_readings(workspace: Workspace, port: int, connections: int, seconds: int, key: Path | None = None) -> Load:
    """One reading a request, one request at a time on each connection; with the key in this file, if any."""
    return finish(workspace, start(workspace, port, connections, seconds, key), seconds + 60)


def start(workspace: Workspace, port: int, connections: int, seconds: int, key: Path | None = None) -> Child:
    """The same in the background, until `finish`."""
    command: Command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--latency", "--script", BENCHMARKS / "lua" / "post_single.lua"]
    command += [f"http://127.0.0.1:{port}", "--", readings.now(), str(DEVICES)]
    return workspace.start("wrk", command, {"SLUICE_BENCH_KEY": str(key)} if key else None)


def finish(workspace: Workspace, child: Child, timeout: float) -> Load:
    """Waits for its end."""
    return Load(**json.loads(workspace.finish(child, timeout).splitlines()[-1]))
