"""One run's folders, processes and free ports, and their end."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import guardian
from bench.child import Child
from bench.errors import CannotRun, ContenderFailed

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "Benchmarks"
Command = list[str | Path]
"""A program and its arguments."""

SLUICE = ROOT / ".build" / "release" / "sluice"


class Workspace:
    """Everything that it starts is ended and everything that it writes removed when its `with` block is left.

    A guardian process sees to that, so that it holds for a run that is killed, too.
    """

    def __init__(self, peers: Path, servers: Path) -> None:
        self.peers = peers
        self.servers = servers
        self.commands: dict[str, str] = {}
        """How each program was started last, by name, with no path of this machine."""
        self._logs = 0

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
        self._guardian = subprocess.Popen(
            [sys.executable, guardian.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        self._tell("remove", str(self.folder))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._guardian.stdin
        self._guardian.stdin.close()
        self._guardian.wait()

    def at_end(self, command: Command) -> None:
        """Has a command run when everything is over, even if this process is killed."""
        self._tell("at-end", [str(word) for word in command])

    def start(self, name: str, command: Command, environment: dict[str, str] | None = None) -> Child:
        """Starts a program that ends with this one; its output goes to a file."""
        words = [str(word) for word in command]
        self._logs += 1
        log = self.folder / f"{self._logs}-{name.replace(' ', '-').replace('/', '-')}.log"
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}),
                start_new_session=True,
            )
        self._tell("group", process.pid)
        self.commands[name] = self._shown(words, environment or {})
        return Child(name, process, log, started)

    def end(self, child: Child) -> None:
        child.end()
        self._tell("forget", child.process.pid)

    def run(self, name: str, command: Command, environment: dict[str, str] | None = None, timeout: float = 120) -> str:
        """Runs a program to its end and returns what it wrote."""
        return self.finish(self.start(name, command, environment), timeout)

    def finish(self, child: Child, timeout: float) -> str:
        """Waits for the end of a program and returns what it wrote."""
        try:
            child.wait(timeout)
        finally:
            self.end(child)
        child.check()
        return child.log.read_text(errors="replace")

    def free_ports(self, count: int = 1) -> int:
        """The first of so many consecutive ports on which nothing listens."""
        while True:
            with socket.socket() as first:
                first.bind(("127.0.0.1", 0))
                port: int = first.getsockname()[1]
            if port + count <= 65_536 and all(_is_free(port + offset) for offset in range(count)):
                return port

    def _tell(self, verb: str, value: object) -> None:
        assert self._guardian.stdin
        print(json.dumps([verb, value]), file=self._guardian.stdin, flush=True)

    def _shown(self, words: list[str], environment: dict[str, str]) -> str:
        line = shlex.join([*(f"{key}={value}" for key, value in environment.items()), *words])
        for path, short in (
            (sys.executable, "python"),
            (str(self.folder), "TMP"),
            (str(self.peers), "peers"),
            (str(self.servers), "servers"),
            (f"{ROOT}/", ""),
        ):
            line = line.replace(path, short)
        return line


def start_server(workspace: Workspace, name: str, command: Command) -> str:
    """Runs the script that starts a server; returns its last line, which says where the server is."""
    try:
        return workspace.run(name, command).strip().splitlines()[-1]
    except ContenderFailed as error:
        raise CannotRun(f"{name} did not start: {error}") from None


def need(program: str, package: str) -> None:
    """Raises `CannotRun` when a program is not installed."""
    if shutil.which(program) is None:
        raise CannotRun(f"'{program}' is not installed; on Debian: apt-get install {package}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
