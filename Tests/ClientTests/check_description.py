"""Runs schemathesis with all its checks against `sluice dev`, without keys and with them: scripts/schemathesis."""

import os
import subprocess
import sys
from pathlib import Path

from dev import Dev

HERE = Path(__file__).resolve().parent


def check(examples, keys):
    # Bodies of as many items as are allowed are among the first; the database of `sluice dev` is no large one.
    dev = Dev("--http-readings-limit", "20", keys=keys)
    try:
        key = ["--header", f"Authorization: Bearer {dev.key}"] if keys else []
        words = [
            Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "run",
            f"{dev.url}/openapi.json", "--checks", "all", "--max-examples", examples, "--generation-database", "none", *key,
            # A job that was cancelled is still there to be asked for.
            "--exclude-checks", "use_after_free",
        ]  # fmt: skip
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "described", "PYTHONPATH": str(HERE)}
        return subprocess.run(words, env=environment, cwd=dev.folder).returncode
    finally:
        dev.stop()


if __name__ == "__main__":
    sys.exit(max(check(sys.argv[1], keys) for keys in (False, True)))
