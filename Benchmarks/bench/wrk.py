"""HTTP load by wrk."""

import json
from dataclasses import dataclass

from bench import readings
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


def post_readings(workspace: Workspace, port: int, connections: int, seconds: int) -> Load:
    """One reading a request, one request at a time on each connection."""
    command: Command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--latency", "--script", BENCHMARKS / "lua" / "post_single.lua"]
    command += [f"http://127.0.0.1:{port}", "--", readings.now(), str(DEVICES)]
    output = workspace.run("wrk", command, timeout=seconds + 60)
    return Load(**json.loads(output.splitlines()[-1]))
