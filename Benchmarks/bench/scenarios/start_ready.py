"""How long a role of Sluice takes to be ready, and how large the program is."""

import functools
import re

from bench import sluice
from bench.context import Bench
from bench.measurement import Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import SLUICE

_ROLES = ("ingest", "bridge", "sink")
_DATABASE = "start_ready"


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    roles = Table("roles", [Metric("ready_ms", "ready after ms")], False)
    roles.goals = [Limit("ready_ms", 100, role) for role in _ROLES]
    metrics = [Metric("stripped_mib", "stripped MiB", 1), Metric("built_mib", "as built MiB", 1)]
    program = Table("program", [*metrics, Metric("libraries", "shared libraries")], False)
    result = Result(
        "start-ready",
        "Start of a role until it is ready",
        ["From the start of the process to the first 200 of /readyz, asked every 2 ms, with all servers running."],
        [roles, program],
    )
    topic = bench.kafka.new_topic("start-ready")
    return result, [
        *((roles, role, functools.partial(_measure, bench, role, topic)) for role in _ROLES),
        (program, "sluice", functools.partial(_measure_program, bench, result)),
    ]


def _measure(bench: Bench, role: str, topic: str, _: int) -> Sample:
    if role == "sink":
        sluice.prepare_database(bench, topic, _DATABASE)
    started = sluice.start(bench.workspace, role, sluice.settings(bench, role, topic, _DATABASE))
    try:
        return {"ready_ms": started.wait_until_ready() * 1_000}
    finally:
        bench.workspace.end(started.child)


def _measure_program(bench: Bench, result: Result, number: int) -> Sample:
    sluice.check_built()
    stripped = bench.workspace.folder / "sluice-stripped"
    bench.workspace.run("strip", ["strip", "-o", stripped, SLUICE])
    libraries = re.findall(r"^\s*(lib\S+)", bench.workspace.run("ldd", ["ldd", SLUICE]), re.MULTILINE)
    if number == 0:
        result.notes.append(f"The program, and all libraries that are loaded with it: {', '.join(sorted(libraries))}.")
    sizes = {"stripped_mib": stripped, "built_mib": SLUICE}
    return {key: path.stat().st_size / 2**20 for key, path in sizes.items()} | {"libraries": len(libraries)}


SCENARIO = Scenario(
    "start-ready", "time until /readyz says ready for each role of Sluice; size of the program", _prepare
)
