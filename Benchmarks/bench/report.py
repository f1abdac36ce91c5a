"""A run's results as Markdown and JSON."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.measurement import Goal, Limit, Metric, Result, Spread, Table


@dataclass(frozen=True)
class Report:
    date: str
    command: str
    repeat: int
    machine: dict[str, str]
    versions: dict[str, str]
    results: list[Result]
    plot: str | None
    """The plot's file name, if there is one."""

    def write(self, path: Path) -> None:
        """Writes the Markdown to this path and the JSON beside it."""
        path.write_text("\n".join(self._markdown()))
        path.with_suffix(".json").write_text(json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n")

    def _markdown(self) -> Iterator[str]:
        yield f"# Benchmarks, {self.date}\n"
        yield (
            f"Everything in one run on one machine, load generator and servers beside what is measured, {self.repeat} "
            "rounds in turn: the median, and in brackets the lowest and highest. Figures differ from machine to "
            "machine and from day to day; only the ratios within one run count.\n"
        )
        yield f"    {self.command}\n"
        for result in self.results:
            yield from _section(result)
        if self.plot:
            yield f"![The main figure of each scenario]({self.plot})\n"
        yield from _listing("Machine", self.machine)
        yield from _listing("Versions", self.versions)


def new_path(folder: Path, date: str) -> Path:
    """Of a Markdown file named after the date, with a number where that is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (date if number == 1 else f"{date}-{number}" for number in itertools.count(1))
    return next(path for name in names if not (path := folder / f"{name}.md").exists())


def text(table: Table) -> str:
    """A table in Markdown."""
    headings = [""]
    for metric in table.metrics:
        headings += [metric.title, f"÷ {table.baseline}"] if table.has_ratio(metric) else [metric.title]
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "---:|" * (len(headings) - 1)]
    for contender in table.rows:
        cells = []
        for metric in table.metrics:
            cells.append(_cell(table.spread(contender, metric), metric))
            if table.has_ratio(metric):
                ratio = table.ratio(metric, contender)
                cells.append("" if ratio is None else f"{ratio:.2f}")
        lines.append(f"| {contender} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(table: Table, goal: Goal | Limit) -> str:
    """Whether a goal was met, in one line."""
    reached = table.reached(goal)
    match goal:
        case Goal():
            is_met, unit = reached is not None and reached >= goal.at_least, " ×"
            wanted = f"{goal.contender} ≥ {goal.at_least:g} × {goal.against}"
        case Limit():
            is_met, unit = reached is not None and reached <= goal.at_most, " ×" if goal.against else ""
            bound = f"{goal.at_most:g}" + (f" × {goal.against}" if goal.against else "")
            wanted = f"{goal.contender}, {table.metric(goal.metric).title} ≤ {bound}"
    if reached is None:
        return f"Goal not measured: {wanted}"
    return f"Goal {'met' if is_met else 'missed'}: {wanted}: {reached:,.{3 if unit else 1}f}{unit}"


def _section(result: Result) -> Iterator[str]:
    yield f"## {result.title}\n"
    for note in result.notes:
        yield f"{note}\n"
    for table in result.tables:
        if len(result.tables) > 1:
            yield f"### {table.title}\n"
        yield text(table) + "\n"
        if table.goals:
            yield "\n".join(f"- {verdict(table, goal)}" for goal in table.goals) + "\n"
    for contender, reason in result.skipped.items():
        yield f"Not measured: {contender}: {reason}.\n"
    for failure in result.failures:
        yield f"Failed: {failure}\n"
    yield from _listing("How they were started", {name: f"`{line}`" for name, line in result.commands.items()}, "###")


def _cell(spread: Spread | None, metric: Metric) -> str:
    if spread is None:
        return ""
    median, low, high = (f"{value:,.{metric.digits}f}" for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} ({low}–{high})"


def _listing(title: str, facts: dict[str, str], level: str = "##") -> Iterator[str]:
    yield f"{level} {title}\n"
    yield "\n".join(f"- {name}: {fact}" for name, fact in facts.items()) + "\n"
