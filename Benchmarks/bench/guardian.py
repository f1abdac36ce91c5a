"""Cleans up after a run, however that ends: it acts when its standard input closes, as a killed process's does.

Each line of its input is a JSON array: ["group", id] and ["forget", id] for process groups to be killed,
["at-end", [word, …]] for a command to be run, ["remove", path] for a folder to be removed, in this order.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys


def main() -> None:
    groups: set[int] = set()
    commands: list[list[str]] = []
    folders: list[str] = []
    for line in sys.stdin:
        match json.loads(line):
            case ["group", group]:
                groups.add(group)
            case ["forget", group]:
                groups.discard(group)
            case ["at-end", command]:
                commands.append(command)
            case ["remove", folder]:
                folders.append(folder)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for command in commands:
        subprocess.run(command, stdout=subprocess.DEVNULL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
