"""Debian's MQTT broker."""

import shutil
import socket
import time

from bench.child import Child
from bench.errors import ContenderFailed, Skipped
from bench.workspace import Workspace


class Mosquitto:
    def __init__(self, workspace: Workspace, settings: str = "") -> None:
        """Starts it and waits until it accepts clients; `Skipped` when it is not installed.

        Settings are further lines of its configuration.
        """
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise Skipped("mosquitto is not installed; on Debian: apt-get install mosquitto")
        self.port = workspace.free_ports()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        configuration = workspace.folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type error\nlog_type warning\n"
            f"log_type subscribe\n{settings}"
        )
        self.child = workspace.start("mosquitto", [program, "-c", configuration])
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if not self.child.is_running or time.monotonic() > deadline:
                    raise ContenderFailed(f"mosquitto did not start: {self.child.last_lines()}") from None
                time.sleep(0.02)

    def wait_for_subscription(self, child: Child, filter: str, timeout: float = 30) -> None:
        """Until a client, which this child is, has subscribed to a filter with this end."""
        while f"{filter}\n" not in self.child.log.read_text(errors="replace"):
            if not child.is_running or time.monotonic() > child.started + timeout:
                raise ContenderFailed(f"{child.name} does not subscribe: {child.last_lines()}")
            time.sleep(0.02)
