"""Opens HTTP connections, posts one reading on each, and keeps them until it is told to end.

It says `holding N` when all were answered, and at the end `open N`: how many the server had not closed.
"""

import argparse
import signal
import socket

TOGETHER = 100
BODY = b'{"device":"held","sensor":"temperature","value":1.5}'
REQUEST = (
    b"POST /v1/readings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


def opened(port: int, count: int) -> list[socket.socket]:
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
    for one in sockets:
        one.sendall(REQUEST)
    for one in sockets:
        if not (answer := one.recv(65536)).startswith(b"HTTP/1.1 202 "):
            raise SystemExit(f"a connection was answered {answer!r}")
    return sockets


def is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return bool(one.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "count"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    sockets: list[socket.socket] = []
    while len(sockets) < arguments.count:
        sockets += opened(arguments.port, min(TOGETHER, arguments.count - len(sockets)))
    print(f"holding {len(sockets)}", flush=True)
    signal.sigwait([signal.SIGTERM])
    print(f"open {sum(is_open(one) for one in sockets)}", flush=True)


if __name__ == "__main__":
    main()
