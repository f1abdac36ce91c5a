"""What machine and which versions a result is from."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from bench.workspace import ROOT, Workspace


def machine() -> dict[str, str]:
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    one, five, _ = os.getloadavg()
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.1f} GiB",
        "kernel": platform.release(),
        "load before the run": f"{one:.2f} over one minute, {five:.2f} over five",
    }


def versions(workspace: Workspace) -> dict[str, str]:
    """Of everything that took part; what is not there is left out."""
    found = {
        "sluice": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "Apache Kafka": _jar(workspace.servers / "kafka" / "libs", "kafka-server-"),
        "MongoDB server": _output(str(workspace.servers / "mongodb" / "secantusd-rs"), "--version"),
        "MongoDB connector": _jar(workspace.peers / "kafka-connect" / "libs", "mongo-kafka-connect-"),
        "Kafka Connect": _jar(workspace.peers / "kafka-connect" / "libs", "connect-runtime-"),
        "Java": _output("java", "-version"),
        "wrk": _output("wrk", "--version"),
        "C compiler": _output("cc", "--version"),
        "Python": platform.python_version(),
    }
    for library in ("libmicrohttpd", "rdkafka", "libmongoc-1.0", "libmosquitto", "zlib"):
        found[library] = _output("pkg-config", "--modversion", library)
    for package in ("confluent-kafka", "fastapi", "pymongo", "uvicorn"):
        found[package] = importlib.metadata.version(package)
    return {name: version for name, version in found.items() if version}


def _output(*command: str) -> str:
    """The first line that a program writes, or nothing."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _jar(folder: Path, prefix: str) -> str:
    names = [path.stem.removeprefix(prefix) for path in folder.glob(f"{prefix}[0-9]*.jar")]
    return names[0] if names else ""
