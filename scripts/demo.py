"""Runs `sluice dev`, sends it a simulated fleet over HTTP and MQTT, and counts in the database what has arrived.

DEMO_SECONDS: how long to send (until Ctrl-C); DEMO_RATE: readings per second, all together (2500).
The last line is `accepted=N stored=N duplicates=0 dead=N`; the exit code is 0 when it says that nothing is missing.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pymongo

REPOSITORY = Path(__file__).resolve().parent.parent
SLUICE = REPOSITORY / ".build" / "release" / "sluice"
SECONDS = int(os.environ.get("DEMO_SECONDS", "0"))
RATE = int(os.environ.get("DEMO_RATE", "2500"))
CATCH_UP_SECONDS = 120


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


def interrupt(_number, _frame):
    raise Interrupted


def port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if nobody listens there, otherwise one that is free."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
                return probe.getsockname()[1]
            except OSError:
                continue
    sys.exit("demo: no free port")


def start(arguments: list, output) -> subprocess.Popen:
    """Starts a program that a Ctrl-C at the terminal does not reach, and that ends when this script does."""
    words = ["setpriv", "--pdeathsig", "TERM", "--", *map(str, arguments)]
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, text=True
    )


class Demo:
    def __init__(self, folder: Path):
        self.folder = folder
        self.http = f"http://127.0.0.1:{port(8080)}"
        self.management = f"http://127.0.0.1:{port(9090)}"
        self.mqtt = f"mqtt://127.0.0.1:{port(1883)}"
        mongodb = port(27017)
        self.mongodb = f"mongodb://127.0.0.1:{mongodb}/?directConnection=true"
        self.log = folder / "sluice.log"
        with self.log.open("w") as log:
            self.dev = start(
                [
                    SLUICE, "dev", "--data", folder / "data", "--http-listen", self.http.removeprefix("http://"),
                    "--management-listen", self.management.removeprefix("http://"),
                    "--mqtt-port", self.mqtt.rpartition(":")[2], "--mongodb-port", mongodb,
                ],
                log,
            )  # fmt: skip
        self.readings = pymongo.MongoClient(self.mongodb).sluice.readings
        self.by_hand = 0

    def wait_until_ready(self) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < 90:
            if self.dev.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.management + "/readyz", timeout=2):
                    print(f"ready after {time.monotonic() - begun:.1f} s\n")
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        sys.exit(f"demo: sluice dev did not become ready:\n{self.log.read_text()}")

    def explain(self) -> None:
        print(
            f"""HTTP      {self.http}/v1/readings
MQTT      {self.mqtt}
MongoDB   {self.mongodb}
readiness curl {self.management}/readyz
metrics   curl {self.management}/metrics
post      {" ".join(self.curl(quote=True))}
publish   {" ".join(self.publish())}
look      .venv/bin/python -c 'import pymongo; \
print(pymongo.MongoClient("{self.mongodb}").sluice.devices.find_one())'
log       {self.log}
"""
        )

    def curl(self, quote: bool = False) -> list[str]:
        body = json.dumps({"device": "greenhouse-3", "sensor": "temperature", "value": 21.5, "unit": "Cel"})
        header = "Content-Type: application/json"
        if quote:
            body, header = f"'{body}'", f"'{header}'"
        return ["curl", "-sS", "-d", body, "-H", header, f"{self.http}/v1/readings"]

    def publish(self) -> list[str]:
        return ["mosquitto_pub", "-L", f"{self.mqtt}/sensors/greenhouse-3/humidity", "-q", "1", "-m", "48.5"]

    def send_by_hand(self, times: int = 3) -> None:
        """A few readings as anybody would send them."""
        for _ in range(times):
            answer = subprocess.run(self.curl(), check=True, capture_output=True, text=True).stdout
            self.by_hand += json.loads(answer).get("accepted", 0)
            subprocess.run(self.publish(), check=True)
            self.by_hand += 1

    def metric(self, text: str, *names: str) -> int:
        return sum(
            int(float(value))
            for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)
            if name in names
        )

    def metrics(self) -> str:
        with urllib.request.urlopen(self.management + "/metrics", timeout=5) as answer:
            return answer.read().decode()

    def simulate(self) -> str:
        """Sends the fleet, showing what becomes of it.
        Returns the line in which the simulator sums up."""
        command = [
            SLUICE, "simulate", "--url", self.http, "--mqtt", "--mqtt-url", self.mqtt, "--devices", 200,
            "--rate", RATE, "--seconds", SECONDS, "--quiet",
        ]  # fmt: skip
        print(f"sending {RATE} readings/s over HTTP and MQTT, {f'{SECONDS} s' if SECONDS else 'until Ctrl-C'}")
        output = (self.folder / "simulate.log").open("w+")
        simulator = start(command, output)
        try:
            while simulator.poll() is None and self.dev.poll() is None:
                self.show()
                try:
                    simulator.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    pass
        except Interrupted:
            print()
            simulator.terminate()
        simulator.wait()
        output.seek(0)
        lines = output.read().splitlines()
        return lines[-1] if lines else ""

    def show(self) -> None:
        text = self.metrics()
        acknowledged = self.metric(text, "sluice_kafka_acknowledged_total")
        written = self.metric(text, "sluice_sink_written_total")
        line = f"in Kafka {acknowledged:>9}   in MongoDB {written:>9}"
        print(f"\r{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)

    def count(self, accepted: int) -> tuple[int, int, int]:
        """Waits until as many readings are in the database as were accepted, and counts there.

        There may be more for a while: after an insert of unknown outcome a late copy is found and removed.
        """
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while True:
            begun = time.monotonic()
            if self.readings.count_documents({}) == accepted or begun >= deadline:
                break
            # The embedded database goes through all readings for it, and stores none meanwhile.
            time.sleep(max(0.2, 4 * (time.monotonic() - begun)))
        self.show()
        stored = self.readings.count_documents({})
        number = {"device": "$meta.device", "sensor": "$meta.sensor", "seq": "$tags.seq"}
        repeated = self.readings.aggregate(
            [
                {"$match": {"tags.seq": {"$exists": True}}},
                {"$group": {"_id": number, "count": {"$sum": 1}}},
                {"$match": {"count": {"$gt": 1}}},
                {"$group": {"_id": None, "surplus": {"$sum": {"$subtract": ["$count", 1]}}}},
            ]
        )
        duplicates = sum(group["surplus"] for group in repeated)
        dead = self.metric(self.metrics(), "sluice_sink_dead_letters_total", "sluice_mqtt_dead_total")
        return stored, duplicates, dead

    def stop(self) -> None:
        if self.dev.poll() is None:
            self.dev.terminate()
        self.dev.wait()


def run(folder: Path) -> bool:
    print("starting sluice dev with an embedded Kafka, MongoDB and MQTT broker …")
    demo = Demo(folder)
    try:
        demo.wait_until_ready()
        demo.explain()
        demo.send_by_hand()
        summary = demo.simulate()
        print(f"\nthe simulator: {summary}")
        numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", summary)}
        if "accepted" not in numbers or demo.dev.poll() is not None:
            sys.exit(f"demo: something ended too early:\n{demo.log.read_text()}")
        accepted = numbers["accepted"] + demo.by_hand
        stored, duplicates, dead = demo.count(accepted)
    finally:
        demo.stop()
    is_whole = accepted == stored and duplicates == 0 and dead == 0
    if not is_whole:
        print(f"\nsomething is missing or too much; what sluice dev wrote:\n{demo.log.read_text()}")
    print(f"\naccepted={accepted} stored={stored} duplicates={duplicates} dead={dead}")
    return is_whole


def main() -> None:
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    folder = Path(tempfile.mkdtemp(prefix="sluice-demo."))
    try:
        sys.exit(0 if run(folder) else 1)
    except Interrupted:
        sys.exit("demo: interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
