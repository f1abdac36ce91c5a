"""The Arduino's firmware: built for both boards, and run on an emulated Uno against a real broker and all of Sluice."""

import http.server
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import threading
import time
import unittest

from boards import Board, build
from support import ARDUINO, CXX, HERE, Brokered, Dev, folder, run, until
from together import load_tests  # noqa: F401: unittest looks for it here

HAS_TOOLS = bool(shutil.which("avr-g++")) and os.path.exists("/usr/include/simavr/sim_avr.h")
NEEDS = "needs arduino-core-avr and libsimavr-dev: scripts/install-dependencies tests"
QUICK = dict(DEVICE='"uno-1"', DHCP=0, DISTANCE_EVERY=250, ANALOG_EVERY=400, KEEP_ALIVE=10)
# Slower than the tries to connect again come.
PATIENT = QUICK | dict(DISTANCE_EVERY=700, ANALOG_EVERY=1100, BUFFER=40)


def numbers(messages):
    """The counters of the ids; what comes from one start of a board is without gaps."""
    return [int(payload["id"].split("-")[1]) for _, _, payload in messages if payload["value"] is not False]


def whole(subscriber, count):
    """Waits until there are so many messages and none is missing: after a connection the first is not the oldest."""
    def check():
        found = [message for message in subscriber.messages() if message[2]["value"] is not False]
        return sorted(numbers(found)) == list(range(len(found))) and len(found) >= count and found
    return until(f"{count} messages without gaps", check, also=lambda: str(numbers(subscriber.messages())))


def wills(subscriber, count):
    """Waits until the broker has told so many last wills; each with an id, or a repeat would count too."""
    def check():
        found = [payload for _, _, payload in subscriber.messages("online") if payload["value"] is False]
        return len(found) >= count and all("id" in payload for payload in found)
    until(f"{count} last wills", check, also=lambda: str(subscriber.messages("online")))


def readings(messages):
    return [message for message in messages if message[1] != "online"]


def tags(messages):
    return [payload["tags"] for _, _, payload in readings(messages) if "tags" in payload]


class PartsTests(unittest.TestCase):
    """What needs no board: packets, JSON, the buffer, answers; with the sanitizers of the host's compiler."""

    def test_parts(self):
        home = folder("parts")
        self.addCleanup(shutil.rmtree, home)
        sources = [ARDUINO / f"sluice/src/{name}.cpp" for name in ("Text", "Outbox", "MqttPackets", "HttpResponse", "DhcpMessages")]
        run([CXX, "-std=c++14", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
             "-I", ARDUINO / "sluice/src", "-o", home / "parts", HERE / "parts.cpp", *sources])
        self.assertIn("all parts: ok", run([home / "parts"]))


@unittest.skipUnless(HAS_TOOLS, NEEDS)
class BuildTests(unittest.TestCase):
    def test_both_boards_with_either_way_of_sending(self):
        for board in ("uno", "mega"):
            for transport in ("SLUICE_MQTT", "SLUICE_HTTP"):
                printed = build(board, TRANSPORT=transport)[1]
                self.assertRegex(printed, rf"{board}: flash \d+ of \d+ bytes, memory \d+ of \d+ bytes")

    def test_what_does_not_fit_fails(self):
        with self.assertRaisesRegex(AssertionError, "does not fit"):
            build("uno", BUFFER=60)


@unittest.skipUnless(HAS_TOOLS, NEEDS)
class BoardTests(Brokered, unittest.TestCase):
    def start(self, program, broker, **options):
        board = Board(program, broker.port if broker else None, **options)
        self.addCleanup(board.stop, kill=True)
        return board

    def test_readings_and_no_echo(self):
        broker, subscriber = self.broker()
        board = self.start(build(**QUICK)[0], broker, distance=1234, analog=2500)
        first = subscriber.expect(1, "online")[0]
        self.assertEqual((first[0], first[2]["value"]), ("uno-1", True))
        for millimetres in (1234, 30, 3900):
            board.command(f"distance {millimetres}")
            # The first that begins after the command may still see the former.
            known = len(subscriber.messages("distance"))
            for device, _, payload in subscriber.expect(known + 3, "distance")[known + 1:]:
                self.assertEqual((device, payload["unit"]), ("uno-1", "cm"))
                self.assertAlmostEqual(payload["value"], millimetres / 10, delta=max(millimetres / 10 * 0.02, 0.11))
        payload = subscriber.expect(1, "light")[0][2]
        self.assertEqual(payload["unit"], "V")
        self.assertAlmostEqual(payload["value"], 2.5, delta=0.05)

        board.command("distance 0")
        analog = len(subscriber.messages("light"))
        subscriber.expect(analog + 2, "light")
        quiet = len(subscriber.messages("distance"))
        subscriber.expect(analog + 5, "light")
        self.assertEqual(len(subscriber.messages("distance")), quiet)
        whole(subscriber, len(subscriber.messages()))
        self.assertFalse([line for line in board.lines if "offline" in line])
        self.assertGreater(board.quit(), 200, "bytes of memory that the stack never reached")
        # Lost without a farewell, so the broker tells the last will.
        wills(subscriber, 1)

    def test_last_wills_differ(self):
        """Each has an id, so that what the broker sends again is stored once, and no connection's loss is taken for another's."""
        broker, subscriber = self.broker()
        board = self.start(build(**QUICK)[0], broker)
        place = 0
        for count in (1, 2):
            place = board.expect("serial online", place)
            board.command("cable out")
            place = board.expect("serial offline", place)
            board.command("cable in")
            wills(subscriber, count)

    def test_a_wide_span(self):
        """Illuminance up to 100,000 lx, of which 4 V of 5 are four fifths: more than the product of steps and span may be."""
        broker, subscriber = self.broker()
        settings = QUICK | dict(ANALOG_SPAN="100000000L", ANALOG_OFFSET="-1000L", ANALOG_UNIT='"lx"')
        self.start(build(**settings)[0], broker, distance=0, analog=4000)
        payload = subscriber.expect(1, "light")[0][2]
        self.assertAlmostEqual(payload["value"], 80_000, delta=200)

    def test_a_broker_is_killed_and_comes_back(self):
        broker, subscriber = self.broker()
        board = self.start(build(**PATIENT)[0], broker)
        subscriber.expect(4)
        broker.kill()
        offline = board.expect("serial offline")
        end = board.time() + 3000
        # Another try.
        board.expect("connect 1883", offline)
        offline = board.expect("serial offline", offline)
        # How long it takes to that is by chance; what waits for two seconds says so.
        until("a reading has waited for long", lambda: board.time() >= end)
        count = len(subscriber.messages())
        broker.start()
        board.expect("serial online", offline)
        messages = whole(subscriber, count + 12)
        self.assertEqual(numbers(readings(messages)), sorted(numbers(readings(messages))), "in order")
        self.assertTrue(all(int(tag["waited"]) >= 2 for tag in tags(messages)))
        self.assertTrue(tags(messages))
        self.assertFalse([tag for tag in tags(messages) if "dropped" in tag])

    def test_a_hanging_broker_is_noticed(self):
        broker, subscriber = self.broker()
        board = self.start(build(**PATIENT)[0], broker)
        subscriber.expect(3)
        os.kill(broker.process.process.pid, signal.SIGSTOP)
        try:
            board.expect("serial offline: no answer")
        finally:
            os.kill(broker.process.process.pid, signal.SIGCONT)
        messages = whole(subscriber, len(subscriber.messages()) + 14)
        self.assertEqual(numbers(readings(messages)), sorted(numbers(readings(messages))), "in order")

    def test_a_broker_that_cuts_off_whoever_publishes(self):
        """It takes that the board is there, and no reading: tried again ever more rarely all the same."""
        broker, _ = self.broker(limit=95)
        # Longer than the greeting and the hello.
        board = self.start(build(**QUICK | dict(ANALOG_UNIT=f'"{"u" * 32}"'))[0], broker, distance=0)
        board.expect("serial online")
        until("a long pause", lambda: max(broker.pauses("uno-1"), default=0) >= 4, 60, lambda: str(broker.pauses("uno-1")))

    def test_the_cable_is_out_for_longer_than_the_buffer_lasts(self):
        broker, subscriber = self.broker()
        board = self.start(build(**QUICK | dict(BUFFER=8))[0], broker)
        subscriber.expect(4)
        board.command("cable out")
        # "no network"; or, of a reading that was under way, "not sent".
        board.expect("serial offline")
        count = len(subscriber.messages())
        # 6.5 readings a second.
        end = board.time() + 3000
        until("three seconds of the board", lambda: board.time() >= end)
        board.command("cable in")
        subscriber.expect(count + 14)
        messages = [message for message in subscriber.messages() if message[2]["value"] is not False]
        self.assertEqual(numbers(readings(messages)), sorted(numbers(readings(messages))))
        dropped = [int(tag["dropped"]) for tag in tags(messages) if "dropped" in tag]
        self.assertEqual(len(dropped), 1, tags(messages))
        self.assertGreater(dropped[0], 0)
        missing = max(numbers(messages)) + 1 - len(messages)
        # One may have arrived, though its acknowledgement did not.
        self.assertIn(dropped[0] - missing, (0, 1), "what is missing is what was said to be dropped")

    def test_silence(self):
        """Longer than two keep-alives: the connection stays, and the reading after it arrives at once."""
        broker, subscriber = self.broker()
        settings = QUICK | dict(ANALOG_EVERY=100_000_000, KEEP_ALIVE=4)
        board = self.start(build(**settings)[0], broker, distance=0)
        subscriber.expect(2)
        since, begin = time.monotonic(), board.time()
        log = broker.process
        until("the third PINGREQ", lambda: len([line for line in log.lines if "PINGREQ from uno-1" in line]) >= 3
              or log.find("exceeded timeout"))
        elapsed = time.monotonic() - since
        if log.find("exceeded timeout") and (board.time() - begin) / 1000 < elapsed / 1.5:
            self.skipTest("this machine is too busy: the board's seconds are much longer than the broker's")
        until("two keep-alives", lambda: time.monotonic() - since > 8)
        self.assertFalse(log.find("exceeded timeout"))
        self.assertEqual(len(subscriber.messages()), 2)
        board.command("distance 500")
        self.assertAlmostEqual(subscriber.expect(1, "distance")[0][2]["value"], 50, delta=1)
        self.assertEqual(len([line for line in board.lines if line.startswith("connect")]), 1)

    def test_no_keep_alive(self):
        """0 switches it off (MQTT 3.1.1, 3.1.2.10)."""
        broker, subscriber = self.broker()
        self.start(build(**QUICK | dict(KEEP_ALIVE=0))[0], broker)
        subscriber.expect(10)
        self.assertEqual([line for line in broker.process.lines if "PINGREQ from uno-1" in line], [])

    def test_passwords(self):
        broker, subscriber = self.broker("-u", "board", "-P", "right", user="board", password="right")
        wrong = build(**QUICK | dict(USER='"board"', PASSWORD='"wrong"'))[0]
        board = self.start(wrong, broker)
        refused = board.expect("serial offline: refused, code 5")
        board.expect("serial offline: refused, code 5", refused)
        self.assertEqual(subscriber.messages(), [])
        board.stop(kill=True)
        right = build(**QUICK | dict(USER='"board"', PASSWORD='"right"'))[0]
        self.start(right, broker)
        subscriber.expect(3)

    def test_settings_that_cannot_be(self):
        """Told at the start, or by the compiler where it knows."""
        for server in ('"192.168.1.300"', '"broker.example"'):
            board = self.start(build(**QUICK | dict(SERVER=server))[0], None)
            board.expect("serial SLUICE_SERVER is no address", timeout=30)
        for name, length in (("ANALOG_UNIT", 33), ("PASSWORD", 91), ("KEY", 101)):
            with self.assertRaisesRegex(AssertionError, f"SLUICE_{name}.* at most"):
                build(USER=f'"{"u" * 40}"', **{name: f'"{"x" * length}"'})

    def test_starts_differ(self):
        """Two starts of one board, with nothing but its EEPROM in common: no id comes twice."""
        broker, subscriber = self.broker()
        home = folder("eeprom")
        self.addCleanup(shutil.rmtree, home)
        for expected in (4, 8):
            board = self.start(build(**QUICK)[0], broker, eeprom=home / "eeprom")
            subscriber.expect(expected)
            board.quit()
        starts = {payload["id"].split("-")[0] for _, _, payload in subscriber.messages()}
        self.assertEqual(sorted(start[:4] for start in starts), ["0000", "0001"])

    def test_dhcp(self):
        """An address from a server of the test's, renewed when half of its lease is over; none, no connection."""
        broker, subscriber = self.broker()
        server = DhcpServer()
        self.addCleanup(server.stop)
        settings = QUICK | dict(DHCP=1)
        board = self.start(build(**settings)[0], broker, datagrams=server.port)
        subscriber.expect(3)
        until("the lease is renewed twice", lambda: server.kinds[:4] == ["discover", "request", "renewal", "renewal"],
              also=lambda: str(server.kinds))
        self.assertEqual(len([line for line in board.lines if line.startswith("connect")]), 1)
        server.is_silent = True
        board.expect("serial offline: no network")

    def test_the_cable_comes_back(self):
        """Perhaps to another network, so the board asks whether its address still holds; and is told that it does not."""
        broker, subscriber = self.broker()
        server = DhcpServer(lease=86_400)
        self.addCleanup(server.stop)
        board = self.start(build(**QUICK | dict(DHCP=1))[0], broker, datagrams=server.port)
        for kinds in (["discover", "request"], ["renewal"], ["renewal", "discover", "request"]):
            known = len(subscriber.messages())
            subscriber.expect(known + 3)
            until("the address", lambda: server.kinds == kinds, also=lambda: str(server.kinds))
            # The next network is another one.
            server.refuses = kinds == ["renewal"]
            server.kinds.clear()
            lost = len(board.lines)
            board.command("cable out")
            board.expect("serial offline", lost)
            board.command("cable in")
            board.expect("serial online", lost)

    def test_the_mega(self):
        broker, subscriber = self.broker()
        self.start(build("mega", **QUICK)[0], broker, mcu="atmega2560", distance=770)
        self.assertAlmostEqual(subscriber.expect(2, "distance")[1][2]["value"], 77, delta=1.6)

    def test_http(self):
        server = Api()
        self.addCleanup(server.stop)
        program = build(**QUICK | dict(TRANSPORT="SLUICE_HTTP", KEY='"slk_secret"'))[0]
        server.answers = [503, 202, 202, 422, 500, 202]
        board = Board(program, server.port)
        self.addCleanup(board.stop, kill=True)
        until("ten requests", lambda: len(server.requests) >= 10)
        board.stop(kill=True)
        for headers, body in server.requests:
            self.assertEqual(headers["Authorization"], "Bearer slk_secret")
            self.assertEqual((headers["Content-Type"], body["device"]), ("application/json", "uno-1"))
        sent = [int(body["id"].split("-")[1]) for _, body in server.requests]
        self.assertEqual(sent[0], 0)
        unanswered = len([line for line in board.lines if "not taken: 0" in line])
        for status, (reading, following) in zip(server.given, itertools.pairwise(sent)):
            # Not taken, so again; what the server will never take is given up.
            if status not in (500, 503) and following == reading and unanswered:
                # On a busy machine an answer may be too late for the board.
                unanswered -= 1
            else:
                self.assertEqual(following, reading if status in (500, 503) else reading + 1, sent)
        self.assertTrue(board.find("refused with 422"))


@unittest.skipUnless(HAS_TOOLS, NEEDS)
@unittest.skipUnless(Dev.program.exists(), "needs .build/debug/sluice: swift build")
class WholePathTests(unittest.TestCase):
    def test_into_the_database(self):
        """Over MQTT and over HTTP: what a board measured is a document, and what it sends again is none."""
        dev = Dev()
        self.addCleanup(dev.stop)
        over_mqtt = build(**QUICK)[0]
        over_http = build(**QUICK | dict(TRANSPORT="SLUICE_HTTP", DEVICE='"uno-2"'))[0]
        dev.wait_until_ready()
        for program, port in ((over_mqtt, dev.mqtt), (over_http, dev.http)):
            board = Board(program, port, distance=1500)
            self.addCleanup(board.stop, kill=True)
        for device in ("uno-1", "uno-2"):
            until("readings", lambda: len(dev.stored(device, "distance")) >= 3, also=lambda: "\n".join(dev.process.lines[-20:]))
            document = dev.stored(device, "distance")[0]
            self.assertAlmostEqual(document["value"], 150, delta=3)
            self.assertEqual(document["meta"], {"device": device, "sensor": "distance", "unit": "cm"})
            self.assertAlmostEqual(document["ts"].timestamp(), document["received"].timestamp(), delta=1)
            until("the other sensor", lambda: dev.stored(device, "light"))
        online = dev.stored("uno-1", "online")[0]
        self.assertEqual((online["value"], online["boolean"]), (1, True))
        # As a board sends a reading again whose acknowledgement it did not get, and then the next.
        for number, tags in ((7, ""), (7, ',"tags":{"waited":"9"}'), (8, "")):
            run(["mosquitto_pub", "-p", dev.mqtt, "-q", "1", "-t", "sensors/uno-3/distance", "-m",
                 f'{{"value":{number},"unit":"cm","id":"0001abcdef01-{number}"{tags}}}'])
        until("the next", lambda: 8 in [document["value"] for document in dev.stored("uno-3")])
        self.assertEqual([document["value"] for document in dev.stored("uno-3")], [7, 8])


class DhcpServer:
    """Leases as RFC 2131 describes them."""

    def __init__(self, lease=4):
        self.lease = lease
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.kinds, self.is_silent, self.refuses = [], False, False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            message, sender = self.socket.recvfrom(2048)
            if message == b"stop":
                return
            operation, kind, length, _, transaction, _, flags, had = struct.unpack("!BBBBIHH4s", message[:16])
            assert (operation, kind, length, flags) == (1, 1, 6, 0x8000) and message[236:240] == b"\x63\x82\x53\x63"
            options, place = {}, 240
            while message[place] != 255:
                options[message[place]] = message[place + 2:place + 2 + message[place + 1]]
                place += 2 + message[place + 1]
            address = bytes([10, 0, 0, 77])
            if options[53] == b"\x01":
                self.kinds.append("discover")
                offered = transaction
            elif had == address:
                self.kinds.append("renewal")
            else:
                assert options[50] == address and options[54] == bytes([10, 0, 0, 1])
                # Of the offer that it takes (RFC 2131, table 5).
                self.kinds.append("request" if transaction == offered else "request of another transaction")
            if self.is_silent:
                continue
            answer = struct.pack("!BBBBIHH4s4s4s4s", 2, 1, 6, 0, transaction, 0, flags, bytes(4), address, bytes(4), bytes(4))
            answer += message[28:34] + bytes(202) + b"\x63\x82\x53\x63"
            kind = 2 if options[53] == b"\x01" else 6 if self.refuses and had == address else 5
            answer += bytes([53, 1, kind, 0, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 1, 51, 4])
            answer += struct.pack("!I", self.lease) + bytes([54, 4, 10, 0, 0, 1, 255])
            self.socket.sendto(answer, sender)

    def stop(self):
        self.socket.sendto(b"stop", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


class Api:
    """An HTTP API that answers as it is told, and then with 202."""

    def __init__(self):
        self.requests, self.answers, self.given = [], [], []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/readings"
                api.requests.append((self.headers, json.loads(body)))
                status = api.answers.pop(0) if api.answers else 202
                api.given.append(status)
                text = b'{"accepted":1}' if status == 202 else b'{"error":{"code":"x","message":"y"}}'
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A board that is switched off is no error.
        self.server.handle_error = lambda request, address: None
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
