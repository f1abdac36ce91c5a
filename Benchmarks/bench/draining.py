"""A backlog on Kafka that goes into the database, watched from outside."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.child import Child, Usage
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Metric, Sample

_INTERVAL_SECONDS = 0.1
METRICS = [
    Metric("rate", "documents/s"),
    Metric("seconds", "measured s", 1),
    Metric("documents", "documents stored"),
    Metric("cpu_us", "processor µs per document", 1),
    Metric("resident_mib", "memory MiB"),
]


@dataclass(frozen=True)
class _Observation:
    time: float
    documents: int
    usage: Usage | None
    """Of all processes together; None when one of them had ended."""


def drain(
    bench: Bench, children: list[Child], total: int, before: int, is_warm: Callable[[], bool] = lambda: True
) -> Sample:
    """Watches until the total is in the database, or the time since the first document is up.

    The rate is that from the first moment at which a tenth was there and `is_warm`, and the same for the processor.
    `before` is the server's count of inserted documents when the children were started. Beside what METRICS shows (but
    for `documents`) the sample has `inserted`, all that there was at the end.
    """
    observations: list[_Observation] = []
    warm: int | None = None
    deadline = children[0].started + bench.options.bound
    while True:
        for child in children:
            child.check()
        now = _Observation(time.monotonic(), bench.mongodb.inserted() - before, _usage(children))
        if now.documents and observations and not observations[-1].documents:
            deadline = now.time + bench.options.bound
        observations.append(now)
        if now.documents >= total or now.time > deadline:
            break
        if warm is None and now.documents >= total // 10 and is_warm():
            warm = len(observations) - 1
        time.sleep(_INTERVAL_SECONDS)
    if observations[-1].documents == 0:
        raise ContenderFailed(f"it stored nothing in {bench.options.bound} s: {children[0].last_lines()}")
    if warm is None:
        warm = next(index for index, one in enumerate(observations) if one.documents)
    return _sample(observations, warm)


def _usage(children: list[Child]) -> Usage | None:
    usages = [usage for child in children if (usage := child.usage())]
    if len(usages) < len(children):
        return None
    return Usage(sum(usage.resident_mib for usage in usages), sum(usage.cpu_seconds for usage in usages))


def _sample(observations: list[_Observation], warm: int) -> Sample:
    first, last = observations[warm], observations[-1]
    if last.documents == first.documents:
        raise ContenderFailed("its documents came all at once: the backlog is too small to measure a rate")
    sample = {
        "rate": (last.documents - first.documents) / (last.time - first.time),
        "seconds": last.time - first.time,
        "inserted": last.documents,
        "resident_mib": max(one.usage.resident_mib for one in observations if one.usage),
    }
    alive = [(one.documents, one.usage.cpu_seconds) for one in observations[warm:] if one.usage]
    if alive and alive[-1][0] > alive[0][0]:
        sample["cpu_us"] = (alive[-1][1] - alive[0][1]) / (alive[-1][0] - alive[0][0]) * 1e6
    return sample
