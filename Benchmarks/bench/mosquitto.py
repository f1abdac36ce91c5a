"""Debian's MQTT broker."""

import shutil
import socket
import time

from bench.errors import ContenderFailed, Skipped
from bench.workspace import Workspace


class Mosquitto:
    def __init__(self, workspace: Workspace) -> None:
        """Starts it and waits until it accepts clients; `Skipped` when it is not installed."""
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise Skipped("mosquitto is not installed; on Debian: apt-get install mosquitto")
        port = workspace.free_ports()
        configuration = workspace.folder / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        child = workspace.start("mosquitto", [program, "-c", configuration])
        self.url = f"mqtt://127.0.0.1:{port}"
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                if not child.is_running or time.monotonic() > deadline:
                    raise ContenderFailed(f"mosquitto did not start: {child.last_lines()}") from None
                time.sleep(0.02)
