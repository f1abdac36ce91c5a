"""Servers and boards of the tests' own."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ARDUINO = ROOT / "firmware/arduino"
PICO = ROOT / "firmware/pico"
TOOLS = ROOT / ".cache/firmware"
# What comes with the Swift toolchain is there wherever Sluice is built.
CC = shutil.which("clang") or "cc"
CXX = shutil.which("clang++") or "c++"


def folder(name):
    return Path(tempfile.mkdtemp(prefix=f"firmware-{name}-", dir=os.environ.get("SLUICE_TEST_FOLDER")))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, timeout=240.0, also=lambda: ""):
    """Waits for a condition, and gives its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s. {also()}")
        time.sleep(0.02)


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Process:
    """A process with its lines of output; stop() ends it."""

    def __init__(self, command, **options):
        self.lines = []
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, bufsize=1, **options)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def find(self, words, after=0):
        """The number of the first line with these words; one more, to look further."""
        return next((number + 1 for number, line in enumerate(self.lines[after:], after) if words in line), None)

    def expect(self, words, after=0, timeout=240.0):
        def check():
            if (found := self.find(words, after)) is None and self.process.poll() is not None:
                self.reader.join()
                if (found := self.find(words, after)) is None:
                    raise AssertionError(f"it ended before '{words}': {self.lines[-30:]}")
            return found
        return until(f"'{words}'", check, timeout, lambda: f"What it said: {self.lines[-30:]}")

    def stop(self, kill=False):
        """Ends it; an error when it was told to end, and did not within a minute."""
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.lines[-30:]}") from None
        finally:
            self.reader.join()
            self.process.stdin.close()
            self.process.stdout.close()


class Broker:
    """A mosquitto that remembers its subscribers, also when it is killed."""

    def __init__(self, user=None, password=None, certificate=None, limit=None):
        self.folder, self.port = folder("broker"), free_port()
        lines = [
            f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {self.folder}/",
            "autosave_interval 1", "autosave_on_changes true", "log_type all", "connection_messages true",
            # Debian's mosquitto, started as root, would otherwise not be able to write here.
            "user root" if os.geteuid() == 0 else "",
        ]
        if user:
            run(["mosquitto_passwd", "-b", "-c", self.folder / "users", user, password])
            lines += ["allow_anonymous false", f"password_file {self.folder}/users"]
        else:
            lines.append("allow_anonymous true")
        if certificate:
            lines += [f"certfile {certificate}/cert.pem", f"keyfile {certificate}/key.pem"]
        if limit:
            # Whoever sends a larger packet is cut off.
            lines.append(f"max_packet_size {limit}")
        (self.folder / "conf").write_text("\n".join(lines) + "\n")
        self.process = None
        self.start()

    def start(self):
        self.process = Process(["mosquitto", "-c", self.folder / "conf"])
        self.process.expect("running")

    def pauses(self, client):
        """Seconds from one connection of a client to the next."""
        times = [int(line.split(":")[0]) for line in list(self.process.lines) if f" as {client} (" in line]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def kill(self):
        self.process.stop(kill=True)

    def stop(self):
        self.process.stop()
        shutil.rmtree(self.folder)


class Subscriber:
    """What a broker has been given under sensors/: (topic, payload as text), in order."""

    numbers = itertools.count()

    def __init__(self, broker, *options):
        # The broker keeps what comes while this is away.
        self.process = Process(["stdbuf", "-oL", "mosquitto_sub", "-p", broker.port, "-V", "5", "-c", "-x", "3600", "-i", f"tests-{next(self.numbers)}",
                                "-q", "1", "-t", "sensors/#", "-F", "%r %t %p", "-d", *options])
        self.process.expect("SUBACK")

    def messages(self, sensor=None):
        """(device, sensor, decoded payload); a repeat of an id counts once."""
        seen, found = set(), []
        for line in list(self.process.lines):
            words = line.split(" ", 2)
            if len(words) != 3 or words[0] not in ("0", "1") or not words[1].startswith("sensors/"):
                continue
            _, device, name = words[1].split("/")
            payload = json.loads(words[2])
            identity = payload.get("id") if isinstance(payload, dict) else None
            if identity in seen or (sensor and name != sensor):
                continue
            if identity:
                seen.add(identity)
            found.append((device, name, payload))
        return found

    def expect(self, count, sensor=None, timeout=240.0):
        return until(f"{count} messages of {sensor or 'any sensor'}",
                     lambda: (found := self.messages(sensor)) and len(found) >= count and found, timeout,
                     lambda: f"There are: {self.messages(sensor)[-5:]}")

    def stop(self):
        # Its handler of SIGTERM waits for ever for a lock that the interrupted code may hold (2.0.11, while it prints).
        self.process.stop(kill=True)


class Dev:
    """A `sluice dev`, and what is in its database."""

    program = ROOT / ".build/debug/sluice"

    def __init__(self):
        import pymongo

        self.folder = folder("dev")
        self.http, self.mqtt, mongodb, management = (free_port() for _ in range(4))
        self.process = Process([
            self.program, "dev", "--data", self.folder / "data", "--http-listen", f"127.0.0.1:{self.http}", "--management-listen",
            f"127.0.0.1:{management}", "--mqtt-port", self.mqtt, "--mongodb-port", mongodb,
            "--secantusd", ROOT / ".venv/bin/secantusd-py"],
            env={key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")})
        self.management = management
        self.client = pymongo.MongoClient("127.0.0.1", mongodb, directConnection=True, serverSelectionTimeoutMS=60_000)
        self.readings = self.client.sluice.readings

    def wait_until_ready(self):
        import urllib.error
        import urllib.request

        def ready():
            if self.process.process.poll() is not None:
                raise AssertionError(f"sluice dev ended: {self.process.lines}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.management}/readyz", timeout=2):
                    return True
            except (urllib.error.URLError, OSError):
                return False
        until("sluice dev is ready", ready, 180, lambda: "\n".join(self.process.lines))

    def stored(self, device, sensor=None):
        match = {"meta.device": device} | ({"meta.sensor": sensor} if sensor else {})
        return list(self.readings.find(match).sort("k.o", 1))

    def stop(self):
        self.client.close()
        self.process.stop()
        shutil.rmtree(self.folder)


class Brokered:
    """For test cases: a broker and what it takes, both ended with the test."""

    def broker(self, *options, **more):
        broker = Broker(**more)
        self.addCleanup(broker.stop)
        subscriber = Subscriber(broker, *options)
        self.addCleanup(subscriber.stop)
        return broker, subscriber
