"""The command line."""

import argparse
import datetime
import shlex
import signal
import sys
from pathlib import Path

from bench import machine, plot, report, scenarios
from bench.context import Bench, Options
from bench.errors import CannotRun
from bench.measurement import Result, interleave
from bench.scenarios.scenario import Scenario
from bench.workspace import BENCHMARKS, ROOT, Workspace, need


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        for scenario in scenarios.ALL:
            print(f"{scenario.name:12} {scenario.summary}")
        return 0
    # A shell starts what it puts in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    chosen = [one for one in scenarios.ALL if not arguments.scenario or one.name in arguments.scenario]
    try:
        return _run(arguments, chosen)
    except CannotRun as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted; everything it started has ended", file=sys.stderr)
        return 130


def _arguments() -> argparse.Namespace:
    names = [scenario.name for scenario in scenarios.ALL]
    parser = argparse.ArgumentParser(prog="Benchmarks/run", description=sys.modules["bench"].__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="list the scenarios and end")
    add("--scenario", action="append", choices=names, help="run only this one; may be repeated")
    add("--repeat", type=_positive, default=3, metavar="N", help="rounds (default 3)")
    add("--seconds", type=_positive, default=6, metavar="N", help="length of each measured load (default 6)")
    add("--backlog", type=_positive, default=200_000, metavar="N", help="for a sink or a bridge (default 200,000)")
    add("--bound", type=_positive, default=45, metavar="N", help="seconds that these may take (default 45)")
    add(
        "--stored",
        type=_positive,
        default=500_000,
        metavar="N",
        help="documents that are there before a sink adds to them in the scenario flat (default 500,000)",
    )
    shared = ROOT.parent / "shared"
    add("--peers", type=Path, default=shared / "peers", metavar="DIR", help="(default ../shared/peers)")
    add("--servers", type=Path, default=shared / "servers", metavar="DIR", help="(default ../shared/servers)")
    add("--output", type=Path, default=BENCHMARKS / "results", metavar="DIR", help="(default Benchmarks/results)")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _run(arguments: argparse.Namespace, chosen: list[Scenario]) -> int:
    for server in ("kafka/kafka", "mongodb/mongodb"):
        if not (arguments.servers / server).exists():
            raise CannotRun(f"no {server} in {arguments.servers}; name the folder of the servers with --servers DIR")
    need("setpriv", "util-linux")
    options = Options(arguments.repeat, arguments.seconds, arguments.backlog, arguments.bound, arguments.stored)
    surroundings = machine.machine()
    with Workspace(arguments.peers.absolute(), arguments.servers.absolute()) as workspace:
        bench = Bench(workspace, options)
        results = [_run_scenario(scenario, bench) for scenario in chosen]
        versions = machine.versions(workspace)
    command = shlex.join(["Benchmarks/run", *_without_folders(sys.argv[1:])])
    date = datetime.date.today().isoformat()
    path = report.new_path(arguments.output, date)
    image = path.with_suffix(".png")
    drawn = image.name if plot.write(results, image) else None
    report.Report(date, command, options.repeat, surroundings, versions, results, drawn).write(path)
    print(f"bench: wrote {path} and .json{' and .png' if drawn else '; no plot without matplotlib or figures'}")
    return 1 if any(result.failures for result in results) else 0


def _run_scenario(scenario: Scenario, bench: Bench) -> Result:
    print(f"bench: {scenario.name}: preparing", flush=True)
    bench.workspace.commands.clear()
    result, measurements = scenario.prepare(bench)
    bench.workspace.commands.clear()
    for line in interleave(result, bench.options.repeat, measurements):
        print(f"bench: {line}", flush=True)
    result.commands = bench.workspace.commands.copy()
    for table in result.tables:
        print(f"\n{result.title}, {table.title}\n{report.text(table)}\n", flush=True)
        for goal in table.goals:
            print(f"bench: {report.verdict(table, goal)}", flush=True)
    return result


def _without_folders(words: list[str]) -> list[str]:
    """The options without those that name folders of this machine."""
    kept: list[str] = []
    iterator = iter(words)
    for word in iterator:
        name, equals, _ = word.partition("=")
        if name not in ("--peers", "--servers", "--output"):
            kept.append(word)
        elif not equals:
            next(iterator, None)
    return kept


if __name__ == "__main__":
    sys.exit(main())
