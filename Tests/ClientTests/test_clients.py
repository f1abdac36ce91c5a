"""Other people's clients, as they come from PyPI and unchanged, against `sluice dev`: what they sent is in MongoDB, once."""

import asyncio
import base64
import datetime as dt
import json
import socket
import unittest
import urllib.request

import websockets
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from kpn_senml import SenmlPack, SenmlRecord, SenmlUnits
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from dev import Dev

START = dt.datetime.now(dt.timezone.utc).replace(microsecond=0) - dt.timedelta(hours=1)


def setUpModule():
    global dev
    dev = Dev(keys=True)
    unittest.addModuleCleanup(dev.stop)


def values(readings):
    """By sensor, in the order of their times."""
    found = {}
    for reading in readings:
        found.setdefault(reading["meta"]["sensor"], []).append(reading.get("value", reading.get("text")))
    return found


class InfluxDB(unittest.TestCase):
    def client(self, token=None, **options):
        client = InfluxDBClient(dev.url, token=token or dev.key, org="any", **options)
        self.addCleanup(client.close)
        return client

    def points(self, device, count):
        return [
            Point("climate").tag("device", device).tag("place", "attic, left").field("temperature", number / 4)
            .field("open", number % 2 == 0).field("state", f"state {number}").time(START + dt.timedelta(seconds=number))
            for number in range(count)
        ]  # fmt: skip

    def check(self, device, count):
        readings = dev.stored(device, 3 * count)
        found = values(readings)
        self.assertEqual(found["climate.temperature"], [number / 4 for number in range(count)])
        self.assertEqual(found["climate.open"], [1 - number % 2 for number in range(count)])
        self.assertEqual(found["climate.state"], [f"state {number}" for number in range(count)])
        self.assertEqual({reading["tags"]["place"] for reading in readings}, {"attic, left"})
        self.assertEqual(readings[0]["ts"], START.replace(tzinfo=None))

    def test_writes_one_request_at_a_time(self):
        client = self.client(enable_gzip=True)
        self.assertTrue(client.ping())
        client.write_api(write_options=SYNCHRONOUS).write("any", record=self.points("influx-sync", 40))
        self.check("influx-sync", 40)

    def test_writes_batches_in_the_background(self):
        failures = []
        options = WriteOptions(batch_size=100, flush_interval=200)
        with self.client().write_api(options, error_callback=lambda *what: failures.append(what)) as api:
            for point in self.points("influx-batch", 500):
                api.write("any", record=point)
        self.assertEqual(failures, [])
        self.check("influx-batch", 500)

    def test_is_told_what_is_wrong(self):
        for token, body, status in [
            ("wrong", "m,device=d v=1", 401), (None, "m,device=d v=1\nm,device=d v=", 400), (None, "m v=1", 400),
        ]:  # fmt: skip
            with self.assertRaises(ApiException) as raised:
                self.client(token).write_api(write_options=SYNCHRONOUS).write("any", record=body)
            self.assertEqual(raised.exception.status, status)
            self.assertTrue(json.loads(raised.exception.body)["message"])


class MQTT(unittest.TestCase):
    def test_publishes_with_every_quality_of_service(self):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="paho")
        client.connect("127.0.0.1", dev.mqtt_port)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        for number in range(100):
            for qos in range(3):
                payload = json.dumps({"value": number, "ts": (START + dt.timedelta(seconds=number)).isoformat()})
                sent = client.publish(f"sensors/paho-{qos}/count", payload, qos=qos)
        sent.wait_for_publish(30)
        for qos in range(3):
            self.assertEqual(values(dev.stored(f"paho-{qos}", 100))["count"], list(range(100)))
        client.disconnect()


class WebSockets(unittest.TestCase):
    COUNT = 1_000

    async def talk(self, url, **options):
        async with websockets.connect(url, **options) as stream:
            for seq in range(self.COUNT):
                time = START + dt.timedelta(seconds=seq)
                reading = {"device": "websockets", "sensor": "count", "value": seq, "ts": time.isoformat()}
                await stream.send(json.dumps({"seq": seq, "reading": reading}))
            return [json.loads(await stream.recv()) for _ in range(self.COUNT)]

    def test_streams(self):
        url = f"{dev.url.replace('http', 'ws')}/v1/stream"
        answers = asyncio.run(self.talk(url, additional_headers={"Authorization": f"Bearer {dev.key}"}))
        self.assertEqual(sorted(answer["seq"] for answer in answers), list(range(self.COUNT)))
        self.assertEqual({answer["accepted"] for answer in answers}, {1})
        self.assertEqual(values(dev.stored("websockets", self.COUNT))["count"], list(range(self.COUNT)))
        with self.assertRaises(websockets.InvalidStatus) as raised:
            asyncio.run(self.talk(url))
        self.assertEqual(raised.exception.response.status_code, 401)


class SenML(unittest.TestCase):
    def test_sends_a_pack(self):
        pack = SenmlPack("urn:dev:ow:10e2073a01080063:")
        pack.base_time = START.timestamp()
        for number in range(10):
            unit, time = SenmlUnits.SENML_UNIT_DEGREES_CELSIUS, START.timestamp() + number
            pack.add(SenmlRecord("temperature", unit=unit, value=number / 2, time=time))
        pack.add(SenmlRecord("door", value=True))
        headers = {"Content-Type": "application/senml+json", "Authorization": f"Bearer {dev.key}"}
        request = urllib.request.Request(f"{dev.url}/v1/readings", pack.to_json().encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.assertEqual((answer.status, json.load(answer)), (202, {"accepted": 11}))
        readings = dev.stored("urn:dev:ow:10e2073a01080063", 11)
        found = values(readings)
        self.assertEqual(found, {"temperature": [n / 2 for n in range(10)], "door": [1]})
        self.assertEqual(readings[-1]["ts"], (START + dt.timedelta(seconds=9)).replace(tzinfo=None))


class Firmware(unittest.TestCase):
    """The bytes that firmware puts on the wire. Its bodies and answers in all forms: IngestTests/DialectRouteTests."""

    BOX, SENSORS = "5386e5fca0a2a8a0163c8ea1", ("5386e5fca0a2a8a0163c8ea2", "5386e5fca0a2a8a0163c8ea3")

    def exchange(self, request):
        """Sends bytes, and reads until the server closes the connection, as it was asked to."""
        with socket.create_connection(("127.0.0.1", dev.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def test_sensebox(self):
        """homev2_wifi.tpl of node-sketch-templater: line feeds alone in the head, and one line end too many at the end."""
        body = "".join(f"{sensor},{value:9.2f}\n" for sensor, value in zip(self.SENSORS, (21.5, 1013.25)))
        self.assertEqual(len(body), 2 * 35)
        request = (
            f"POST /boxes/{self.BOX}/data HTTP/1.1\nAuthorization: {dev.key}\nHost: 127.0.0.1\nContent-Type: text/csv\n"
            f"Connection: close\nContent-Length: {len(body)}\n\n{body}\r\n"
        )
        self.assertEqual(self.exchange(request.encode()), (201, '"Measurements saved in box"'))
        self.assertEqual(values(dev.stored(self.BOX, 2)), {self.SENSORS[0]: [21.5], self.SENSORS[1]: [1013.25]})

    def test_airrohr(self):
        """sendData of airrohr-firmware.ino, with the header that ESP8266HTTPClient makes."""
        body = json.dumps({"esp8266id": "12345678", "software_version": "NRZ-2024-135", "sensordatavalues": [
            {"value_type": "SDS_P1", "value": "5.38"}, {"value_type": "signal", "value": "-59"}]})  # fmt: skip
        basic = base64.b64encode(f"any:{dev.key}".encode()).decode()
        request = (
            f"POST /data.php HTTP/1.1\r\nHost: 127.0.0.1:{dev.port}\r\nUser-Agent: NRZ-2024-135/12345678/5ccf7f012345\r\n"
            f"Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n"
            "Content-Type: application/json\r\nX-Sensor: esp8266-12345678\r\nX-MAC-ID: esp8266-5ccf7f012345\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.assertEqual(self.exchange(request.encode()), (202, '{"accepted":2}'))
        self.assertEqual(values(dev.stored("esp8266-12345678", 2)), {"SDS_P1": [5.38], "signal": [-59]})


if __name__ == "__main__":
    unittest.main()
