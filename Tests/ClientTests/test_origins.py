"""Whose pages may send from a browser to `sluice ingest` as it is started; Kafka is away, so what is let in is answered 503."""

import asyncio
import http.client
import os
import subprocess
import tempfile
import unittest

import websockets

from dev import ROOT, SLUICE, free_ports

BODY = '{"device":"d","sensor":"s","value":1}'


class Origins(unittest.TestCase):
    def start(self, listen="127.0.0.1", keys=False, **settings):
        self.port, management, nobody = free_ports(3)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | settings
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SLUICE_TEST_FOLDER"))
        self.addCleanup(folder.cleanup)
        if keys:
            environment["SLUICE_KEYS_FILE"] = f"{folder.name}/keys.json"
            words = [SLUICE, "keys", "create", "--name", "tests", "--all-devices"]
            subprocess.run(words, env=environment, capture_output=True, check=True)
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", SLUICE, "ingest", "--http-listen", f"{listen}:{self.port}",
             "--management-listen", f"127.0.0.1:{management}", "--kafka-brokers", f"127.0.0.1:{nobody}"],
            cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)  # fmt: skip
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        while "listening" not in (line := process.stderr.readline()):
            self.assertTrue(line, "sluice ingest ended")

    def status(self, origin, host=None, path="/v1/readings"):
        host = host or f"127.0.0.1:{self.port}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": host, "Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
        connection.request("POST", path, BODY, headers)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    async def stream(self, origin):
        async with websockets.connect(f"ws://127.0.0.1:{self.port}/v1/stream", origin=origin):
            pass

    def test_without_keys_on_a_loopback_address(self):
        self.start()
        for path in ["/v1/readings", "/write", "/data.php", "/nowhere"]:
            for origin in ["https://evil.example", "null", f"http://127.0.0.1:{self.port + 1}"]:
                self.assertEqual(self.status(origin, path=path), 403, origin)
        self.assertEqual(self.status(None), 503)
        self.assertEqual(self.status(f"http://127.0.0.1:{self.port}"), 503)
        self.assertEqual(self.status(f"http://localhost:{self.port}", f"localhost:{self.port}"), 503)
        self.assertEqual(self.status("http://evil.example", "evil.example"), 403)
        with self.assertRaises(websockets.InvalidStatus) as raised:
            asyncio.run(self.stream("https://evil.example"))
        self.assertEqual(raised.exception.response.status_code, 403)
        asyncio.run(self.stream(f"http://127.0.0.1:{self.port}"))

    def test_without_keys_on_any_address(self):
        self.start("0.0.0.0", SLUICE_AUTH="off-anywhere")
        self.assertEqual(self.status("https://evil.example"), 403)
        self.assertEqual(self.status("http://sluice.example", "sluice.example"), 503)

    def test_origins_that_are_named(self):
        self.start(SLUICE_HTTP_CORS_ORIGINS="https://good.example")
        self.assertEqual(self.status("https://good.example"), 503)
        self.assertEqual(self.status("https://evil.example"), 403)

    def test_with_keys(self):
        self.start(keys=True)
        self.assertEqual(self.status("https://any.example"), 401)
        self.assertEqual(self.status(None), 401)


if __name__ == "__main__":
    unittest.main()
