"""A process group that this run started: its use of memory and processor, and its end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ContenderFailed

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    resident_mib: float
    cpu_seconds: float


@dataclass(frozen=True)
class Child:
    """Its first process leads a group of its own, so that the group's id is that process's."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    """By the monotonic clock, just before it was started."""

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def usage(self) -> Usage | None:
        """Of all processes in the group together; None when the first has ended."""
        resident = ticks = 0
        for fields in self._members():
            ticks += int(fields[11]) + int(fields[12])
            resident += int(fields[21])
        usage = Usage(resident * _PAGE_BYTES / 2**20, ticks / _TICKS_PER_SECOND)
        return usage if self.is_running else None

    def usage_while_running(self) -> Usage:
        """As `usage`, of a process that has no reason to end."""
        usage = self.usage()
        if usage is None:
            raise ContenderFailed(f"{self.name} ended with code {self.process.returncode}: {self.last_lines()}")
        return usage

    def check(self) -> None:
        """Raises `ContenderFailed` when it ended with an error."""
        if self.process.poll() not in (None, 0):
            raise ContenderFailed(f"{self.name} ended with code {self.process.returncode}: {self.last_lines()}")

    def wait(self, timeout: float) -> None:
        """Until it has ended; `ContenderFailed` when that takes longer."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ContenderFailed(f"{self.name} did not end in {timeout:.0f} s: {self.last_lines()}") from None

    def peak_mib(self) -> float:
        """The most memory that its first process ever had resident."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) / 1_024
        except (FileNotFoundError, IndexError):
            raise ContenderFailed(f"{self.name} has ended: {self.last_lines()}") from None

    def last_lines(self, count: int = 3) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-count:]) or "it wrote nothing"

    def end(self, grace: float = 20) -> None:
        """Asks the group to end, waits, then kills what is left of it."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        self._signal(signal.SIGKILL)
        self.process.wait()
        while any(True for _ in self._members()):
            time.sleep(0.01)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _members(self) -> Iterator[list[str]]:
        """The fields of /proc/PID/stat from the third on (proc(5)), without processes that only wait to be reaped."""
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                yield fields
