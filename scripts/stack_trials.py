"""What is tried of a running stack. Each trial adds to `failures` what does not hold."""

import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pymongo
from stack_containers import PROJECT, check, eventually, run, say


def try_confinement(stack):
    for service in stack.running():
        status = pathlib.Path(f"/proc/{stack.process(service)}/status").read_text()
        field = lambda name: re.search(rf"^{name}:\s*(.*)$", status, re.M)[1]
        users = set(field("Uid").split())
        check(
            f"{service} runs as user {'/'.join(users)}, without capabilities, and cannot gain any",
            "0" not in users
            and int(field("CapBnd"), 16) == 0
            and int(field("CapEff"), 16) == 0
            and field("NoNewPrivs") == "1",
            status,
        )
        mounts = pathlib.Path(f"/proc/{stack.process(service)}/mountinfo").read_text().splitlines()
        root = next(line.split() for line in mounts if line.split()[4] == "/")
        writable = {line.split()[4] for line in mounts if line.split()[5].split(",")[0] == "rw"}
        # What the runtime itself mounts for a process, in memory.
        own = {path for path in writable if re.match(r"/(proc|sys|dev)(/|$)", path)} | {
            "/etc/hosts",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/run/.containerenv",
        }
        definition = stack.services[service]
        declared = {entry.split(":")[0] for entry in definition.get("tmpfs", [])}
        declared |= {volume.split(":")[1] for volume in definition.get("volumes", []) if not volume.endswith(":ro")}
        check(
            f"{service} can write only to {', '.join(sorted(declared))}",
            root[5].split(",")[0] == "ro" and writable - own <= declared,
            str(writable - own - declared),
        )
        tried = [
            stack.inside(service, f"echo x >{path}/x").returncode != 0 for path in ("", "/usr/bin", "/etc", "/var/lib")
        ]
        check(f"{service} is refused when it tries", all(tried), str(tried))
        limit = stack.inspect(service)["HostConfig"]
        check(
            f"{service} has limits of memory, processors and processes",
            limit["Memory"] > 0 and (limit["NanoCpus"] > 0 or limit["CpuQuota"] > 0) and limit["PidsLimit"] > 0,
            str(limit["Memory"]),
        )


def try_networks(stack):
    ports = {
        "kafka": 9092,
        "mongo": 27017,
        "mosquitto": 1883,
        "prometheus": 9090,
        "grafana": 3000,
        "ingest": 8443,
        "bridge": 9091,
        "sink": 9095,
    }
    networks = {name: stack.services[name]["networks"] for name in ports}
    for source in ports:
        wrong, reached = [], []
        for target, port in ports.items():
            if source == target:
                continue
            allowed = set(networks[source]) & set(networks[target])
            by_name = stack.inside(source, f"timeout 2 bash -c '</dev/tcp/{target}/{port}'").returncode == 0
            if by_name != bool(allowed):
                wrong.append(f"{target} by name")
            if allowed:
                reached.append(target)
            for network in () if allowed else networks[target]:
                if (
                    stack.inside(
                        source, f"timeout 2 bash -c '</dev/tcp/{stack.address(target, network)}/{port}'"
                    ).returncode
                    == 0
                ):
                    wrong.append(f"{target} by address")
        check(f"{source} reaches {', '.join(reached)} and nothing else, by name or address", not wrong, f"but {wrong}")


class Sender(threading.Thread):
    """Posts readings with ids until it is told to stop, each until it is accepted."""

    def __init__(self, stack, device):
        super().__init__()
        self.stack, self.device = stack, device
        self.context = ssl.create_default_context(cafile=stack.folder / "secrets/ca.pem")
        self.accepted, self.refused, self.ending, self.deadline = 0, 0, threading.Event(), 0

    def post(self, readings, key=None):
        request = urllib.request.Request(
            f"https://localhost:{self.stack.https}/v1/readings",
            json.dumps(readings).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key or self.stack.secret('ingest_key')}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def run(self):
        while not self.ending.is_set():
            batch = [
                {"device": self.device, "sensor": "n", "value": self.accepted + n, "id": str(self.accepted + n)}
                for n in range(20)
            ]
            # The last batch too, for some of it may be stored already; but not for ever.
            while self.post(batch) != 202:
                self.refused += 1
                time.sleep(0.2)
                if self.ending.is_set() and time.monotonic() > self.deadline:
                    return
            self.accepted += len(batch)

    def stop(self):
        self.deadline = time.monotonic() + 60
        self.ending.set()
        self.join()


def database(stack):
    return pymongo.MongoClient(
        stack.address("mongo", "mongodb"),
        username="sluice-grafana",
        password=stack.secret("users/sluice-grafana"),
        authSource="sluice",
        serverSelectionTimeoutMS=5000,
    ).sluice


def values(stack, device):
    try:
        return sorted(int(reading["value"]) for reading in database(stack).readings.find({"meta.device": device}))
    except pymongo.errors.PyMongoError:
        return []


def stored_once(stack, device, count):
    # A sink that is cut off while it joins its group waits for an answer that does not come, up to five minutes.
    eventually(f"{count} readings of {device}", 420, lambda: len(values(stack, device)) >= count)
    found = values(stack, device)
    check(
        f"{device}: {count} accepted, each stored once",
        found == list(range(count)),
        f"{len(found)} stored, {len(set(found))} different",
    )


def mqtt(stack, program, *words, user=None, password="", **options):
    login = ["-u", user, "-P", password] if user else []
    return run(
        program,
        "-h",
        "localhost",
        "-p",
        stack.mqtts,
        "--cafile",
        stack.folder / "secrets/ca.pem",
        "-V",
        "5",
        *login,
        *words,
        quiet=True,
        timeout=60,
        **options,
    )


def try_ways_in(stack):
    sender = Sender(stack, "http-1")
    check("over HTTP without a key: 401", sender.post([{"device": "x", "sensor": "n", "value": 1}], "slk_wrong") == 401)
    for start in range(0, 1000, 100):
        status = sender.post([{"device": "http-1", "sensor": "n", "value": n} for n in range(start, start + 100)])
        check(f"100 readings over HTTPS: {status}", status == 202)
    devices = dict(line.split() for line in stack.init("--device", "mqtt-1", "mqtt-2").stdout.splitlines())
    again = run(sys.executable, stack.folder / "init", "--device", "mqtt-1", quiet=True)
    check("a device that is there keeps its password", again.returncode != 0)
    run("podman", "kill", "-s", "HUP", stack.name("mosquitto"))
    one = {"user": "mqtt-1", "password": devices["mqtt-1"]}
    sent = eventually(
        "mosquitto knows the device",
        10,
        lambda: mqtt(stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-1/first", "-m", "1", **one).returncode == 0,
    )
    check("a device posts over MQTT with TLS", sent)
    lines = "\n".join(map(str, range(500))) + "\n"
    check(
        "500 readings over MQTT",
        mqtt(stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-1/n", "-l", input=lines, **one).returncode == 0,
    )
    check(
        "without a user: refused",
        mqtt(stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-1/n", "-m", "1").returncode != 0,
    )
    check(
        "with a wrong password: refused",
        mqtt(
            stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-1/n", "-m", "1", user="mqtt-1", password="x"
        ).returncode
        != 0,
    )
    other = mqtt(stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-2/n", "-m", "1", **one)
    check(
        "to another device's topic: not authorized",
        "ot authorized" in other.stdout + other.stderr,
        other.stdout + other.stderr,
    )
    listener = subprocess.Popen(
        [
            "mosquitto_sub",
            "-h",
            "localhost",
            "-p",
            str(stack.mqtts),
            "--cafile",
            stack.folder / "secrets/ca.pem",
            "-V",
            "5",
            "-u",
            "mqtt-2",
            "-P",
            devices["mqtt-2"],
            "-t",
            "sensors/#",
            "-v",
            "-C",
            "1",
            "-W",
            "30",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )

    def both():
        mqtt(stack, "mosquitto_pub", "-q", "1", "-t", "sensors/mqtt-1/n2", "-m", "1", **one)
        mqtt(
            stack,
            "mosquitto_pub",
            "-q",
            "1",
            "-t",
            "sensors/mqtt-2/n2",
            "-m",
            "2",
            user="mqtt-2",
            password=devices["mqtt-2"],
        )
        return listener.poll() is not None

    eventually("a device hears its own topic", 20, both)
    heard = listener.communicate()[0]
    check("a device that subscribes to everything hears only its own", heard.strip() == "sensors/mqtt-2/n2 2", heard)
    stored_once(stack, "http-1", 1000)
    eventually("what MQTT brought", 60, lambda: len(values(stack, "mqtt-1")) >= 501)
    stored = sorted(
        int(reading["value"])
        for reading in database(stack).readings.find({"meta.device": "mqtt-1", "meta.sensor": "n"})
    )
    check("mqtt-1: 500 sent, each stored once", stored == list(range(500)), str(len(stored)))
    found = database(stack).readings.count_documents({"meta.device": "mqtt-2", "meta.sensor": "n"})
    check("nothing of what was not authorized is stored", found == 0, str(found))


def try_rights(stack):
    def allowed(user, what):
        client = pymongo.MongoClient(
            stack.address("mongo", "mongodb"),
            username=user,
            password=stack.secret(f"users/{user}"),
            authSource="sluice",
            serverSelectionTimeoutMS=5000,
        )
        try:
            what(client)
            return True
        except pymongo.errors.OperationFailure:
            return False

    check(
        "Grafana's user may not write",
        not allowed("sluice-grafana", lambda client: client.sluice.devices.insert_one({})),
    )
    check(
        "the sink's user may not drop a collection",
        not allowed("sluice-sink", lambda client: client.sluice.devices.drop()),
    )
    check(
        "the sink's user may not read another database",
        not allowed("sluice-sink", lambda client: client.admin["system.users"].find_one()),
    )
    check("nobody gets in without a password", not allowed_without(stack))


def allowed_without(stack):
    try:
        pymongo.MongoClient(stack.address("mongo", "mongodb"), serverSelectionTimeoutMS=5000).sluice.readings.find_one()
        return True
    except pymongo.errors.OperationFailure:
        return False


def try_faults(stack):
    sender = Sender(stack, "faults-1")
    sender.start()
    for service, signal in [
        ("sink", "KILL"),
        ("ingest", "KILL"),
        ("mongo", "KILL"),
        ("bridge", "KILL"),
        ("kafka", "KILL"),
    ]:
        before, first = sender.accepted, stack.process(service)
        os.kill(first, 9)
        restarted = eventually(f"{service} is started again", 60, lambda: stack.process(service) not in (0, first))
        healthy = eventually(f"{service} is healthy", 120, lambda: stack.is_healthy(service))
        on = eventually("more is accepted", 120, lambda: sender.accepted > before)
        check(
            f"{service} killed: started again by its policy, healthy, and more is accepted",
            restarted and healthy and on,
        )
    for service, network in [("kafka", "kafka"), ("mongo", "mongodb")]:
        name = f"{PROJECT}_{network}"
        run("podman", "network", "disconnect", name, stack.name(service))
        probe = "ingest" if service == "kafka" else "sink"
        unready = eventually(f"{probe} is not ready", 60, lambda: not stack.is_healthy(probe))
        check(f"{service} cut off: {probe}'s health check says so", unready)
        run("podman", "network", "connect", "--alias", service, name, stack.name(service))
        check(
            f"{service} back: {probe} is healthy",
            eventually(f"{probe} is healthy", 120, lambda: stack.is_healthy(probe)),
        )
    before = sender.accepted
    eventually("more is accepted", 120, lambda: sender.accepted > before + 100)
    sender.stop()
    say(f"{sender.accepted} readings accepted while all that happened, {sender.refused} requests repeated")
    stored_once(stack, "faults-1", sender.accepted)


def try_rotation(stack):
    old = stack.secret("mongodb_sink_uri")
    before = {path.name: path.read_bytes() for path in (stack.folder / "secrets").iterdir() if path.is_file()}
    stack.init()
    after = {path.name: path.read_bytes() for path in (stack.folder / "secrets").iterdir() if path.is_file()}
    check(
        "init again changes nothing", before == after, str([name for name in after if before.get(name) != after[name]])
    )
    stack.init("--rotate", "users/sluice-sink")
    check("--rotate makes another password", stack.secret("mongodb_sink_uri") != old)
    stack.do("up", "-d", "--no-build", "--no-deps", "--force-recreate", "setup")
    run("podman", "wait", stack.name("setup"))
    stack.do("up", "-d", "--no-build", "--no-deps", "--force-recreate", "sink")
    check("the sink is healthy with it", eventually("the sink is healthy", 60, lambda: stack.is_healthy("sink")))
    sender = Sender(stack, "rotation-1")
    check("a reading is accepted", sender.post([{"device": "rotation-1", "sensor": "n", "value": 0}]) == 202)
    stored_once(stack, "rotation-1", 1)
    try:
        pymongo.MongoClient(
            old.replace("mongo:27017", stack.address("mongo", "mongodb")), serverSelectionTimeoutMS=5000
        ).sluice.readings.find_one()
        refused = False
    except pymongo.errors.OperationFailure:
        refused = True
    check("the old password is refused", refused)


def try_secrets(stack):
    secrets = stack.folder / "secrets"
    modes = {
        str(path.relative_to(secrets)): oct(path.stat().st_mode & 0o777)
        for path in secrets.rglob("*")
        if path.is_file()
    }
    open_ones = {name: mode for name, mode in modes.items() if mode != "0o600" and name != "ca.pem"}
    check(f"{len(modes)} files of secrets, each with mode 0600 but ca.pem", not open_ones, str(open_ones))
    words = [
        path.read_text().strip()
        for name in modes
        if name
        in (
            "mongodb_root",
            "users/sluice-sink",
            "users/sluice-grafana",
            "grafana_admin",
            "mqtt_bridge",
            "mqtt_health",
            "ingest_key",
        )
        for path in [secrets / name]
    ]
    seen = []
    for service in stack.running():
        text = run("podman", "container", "inspect", stack.name(service)).stdout
        log = run("podman", "logs", stack.name(service))
        command = pathlib.Path(f"/proc/{stack.process(service)}/cmdline").read_bytes().decode(errors="replace")
        seen += [service for word in words if word in text + log.stdout + log.stderr + command]
    check("no secret in a container's definition, command line or log", not seen, str(seen))


TRIALS = (try_confinement, try_secrets, try_networks, try_ways_in, try_rights, try_faults, try_rotation)
