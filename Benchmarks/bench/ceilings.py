"""The plain-C programs: what the libraries and servers can do at most, and what makes load."""

from pathlib import Path

from bench.workspace import BENCHMARKS, ROOT, Workspace


def program(workspace: Workspace, name: str) -> Path:
    """One of the programs in `c/`, built if it is not."""
    folder = ROOT / ".cache" / "bench-c"
    workspace.run("make", ["make", "--silent", "-C", BENCHMARKS / "c", f"OUT={folder}", f"{folder}/{name}"])
    return folder / name
