"""`sluice dev` for the tests of clients: every role in one process, on ports and in a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pymongo

ROOT = Path(__file__).resolve().parents[2]
SLUICE = Path(os.environ.get("SLUICE_PROGRAM", ROOT / ".build/debug/sluice"))


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Dev:
    """Runs until stop(), which removes what it wrote."""

    def __init__(self, *arguments, keys=False):
        self.folder = Path(tempfile.mkdtemp(prefix="clients-", dir=os.environ.get("SLUICE_TEST_FOLDER")))
        self.port, management, self.mqtt_port, mongodb = free_ports(4)
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        self.key = None
        if keys:
            environment["SLUICE_KEYS_FILE"] = str(self.folder / "keys.json")
            words = [SLUICE, "keys", "create", "--name", "tests", "--all-devices"]
            made = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
            self.key = made.stdout.strip()
        self.log = self.folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", SLUICE, "dev", "--data", self.folder / "data",
                 "--http-listen", f"127.0.0.1:{self.port}", "--management-listen", f"127.0.0.1:{management}",
                 "--mqtt-port", str(self.mqtt_port), "--mongodb-port", str(mongodb), *arguments],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip
        self.management = f"http://127.0.0.1:{management}"
        try:
            self.wait("sluice dev is ready", self.is_ready, seconds=90)
        except BaseException:
            self.stop()
            raise
        self.database = pymongo.MongoClient("127.0.0.1", mongodb, directConnection=True).sluice

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"sluice dev ended:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"{self.management}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def wait(self, what, condition, seconds=120):
        """Waits until a condition holds, and returns what it returned."""
        deadline = time.monotonic() + seconds
        while True:
            start = time.monotonic()
            if found := condition():
                return found
            end = time.monotonic()
            if end > deadline:
                raise AssertionError(f"not within {seconds} s: {what}:\n{self.log.read_text()[-10_000:]}")
            # To look costs the database time that what is waited for needs.
            time.sleep(max(0.02, 4 * (end - start)))

    def stored(self, device, count):
        """The readings of a device once there are so many: (sensor, value) in the order of their times."""

        def readings():
            found = list(self.database.readings.find({"meta.device": device}))
            return found if len(found) >= count else None

        found = self.wait(f"{count} readings of {device}", readings)
        found.sort(key=lambda reading: (reading["ts"], reading["meta"]["sensor"]))
        return found

    def stop(self):
        if hasattr(self, "database"):
            self.database.client.close()
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)
