"""What was measured, round by round, and its medians with spread."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from confluent_kafka import KafkaException
from pymongo.errors import PyMongoError

from bench.errors import ContenderFailed, Skipped

Sample = dict[str, float]
"""One round of one contender: values by the key of their metric."""


@dataclass(frozen=True)
class Metric:
    key: str
    title: str
    digits: int = 0
    has_ratio: bool = False
    """Whether its ratios are shown though it is not a table's main one."""


@dataclass(frozen=True)
class Goal:
    """That the main figure of a contender is at least so many times another's."""

    at_least: float
    against: str
    contender: str = "Sluice"


@dataclass(frozen=True)
class Limit:
    """That a figure of a contender is at most this or, where there is another, at most so many times the other's."""

    metric: str
    at_most: float
    contender: str
    against: str | None = None


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        return Spread(median(values), min(values), max(values))


@dataclass
class Table:
    """Contenders against metrics, of which the first is the main one."""

    title: str
    metrics: list[Metric]
    has_ratios: bool = True
    goals: Sequence[Goal | Limit] = ()
    rows: dict[str, list[Sample]] = field(default_factory=dict)

    def spread(self, contender: str, metric: Metric) -> Spread | None:
        """None when no round of this contender has such a value."""
        values = [sample[metric.key] for sample in self.rows[contender] if metric.key in sample]
        return Spread.of(values) if values else None

    @property
    def baseline(self) -> str | None:
        """What the ratios are relative to: Sluice where it was measured, else the first contender."""
        return "Sluice" if "Sluice" in self.rows else next(iter(self.rows), None)

    def has_ratio(self, metric: Metric) -> bool:
        return self.baseline is not None and (metric.has_ratio or (self.has_ratios and metric is self.metrics[0]))

    def ratio(self, metric: Metric, contender: str) -> float | None:
        """The metric's median against the baseline's."""
        return self._ratio(metric.key, contender, self.baseline) if self.baseline else None

    def reached(self, goal: Goal | Limit) -> float | None:
        """The ratio, or the median, that a goal is about; None when it was not measured."""
        match goal:
            case Goal():
                return self._ratio(self.metrics[0].key, goal.contender, goal.against)
            case Limit(against=str(base)):
                return self._ratio(goal.metric, goal.contender, base)
            case Limit():
                return self._median(goal.metric, goal.contender)

    def metric(self, key: str) -> Metric:
        return next(metric for metric in self.metrics if metric.key == key)

    def _ratio(self, key: str, contender: str, base: str) -> float | None:
        above, below = self._median(key, contender), self._median(key, base)
        return above / below if above is not None and below else None

    def _median(self, key: str, contender: str) -> float | None:
        if contender not in self.rows:
            return None
        spread = self.spread(contender, self.metric(key))
        return spread.median if spread else None


@dataclass
class Result:
    """Of one scenario."""

    name: str
    title: str
    notes: list[str]
    tables: list[Table] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)


Measurement = tuple[Table, str, Callable[[int], Sample]]
"""The table and the contender it is for, and how to measure it in the round of this number."""


def interleave(result: Result, repeat: int, measurements: list[Measurement]) -> Iterator[str]:
    """Measures A B C A B C …, so that what changes on the machine over time meets all; yields a line for each."""
    for number in range(repeat):
        for table, contender, measure in measurements:
            if contender in result.skipped:
                continue
            place = f"{number + 1}/{repeat} {result.name}, {table.title}, {contender}"
            try:
                sample = measure(number)
            except Skipped as reason:
                result.skipped[contender] = str(reason)
                yield f"{place}: skipped: {reason}"
            except (ContenderFailed, KafkaException, PyMongoError) as error:
                result.failures.append(f"{table.title}, {contender}, round {number + 1}: {error}")
                yield f"{place}: FAILED: {error}"
            else:
                table.rows.setdefault(contender, []).append(sample)
                values = (f"{m.title} {sample[m.key]:,.{m.digits}f}" for m in table.metrics if m.key in sample)
                yield f"{place}: {', '.join(values)}"
