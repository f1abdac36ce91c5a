"""What can be said of compose/ and the Dockerfile without running them; `make stack` runs them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = REPOSITORY / "compose"
TOOLS = pathlib.Path(sys.executable).parent
# Ends by itself, so there is no health to ask for.
ONE_SHOT = {"setup", "mongo-set", "keys"}


class Tagged(yaml.SafeLoader):
    """Understands !reset, with which a later file takes something away."""


class Reset:
    pass


Tagged.add_constructor("!reset", lambda loader, node: Reset())


def load(name):
    with open(COMPOSE / name) as file:
        return yaml.load(file, Tagged)


def merge(base, over, key=None):
    """As the specification merges files: mappings by name, volumes by where they go, other lists by appending, anything else replaced."""
    if isinstance(over, Reset):
        return None
    if isinstance(over, dict):
        base = base if isinstance(base, dict) else {}
        return base | {key: merge(base.get(key), value, key) for key, value in over.items()}
    if key == "volumes" and isinstance(over, list):
        places = {volume.split(":")[1] for volume in over}
        return [volume for volume in base or [] if volume.split(":")[1] not in places] + over
    if isinstance(over, list) and key not in ("command", "entrypoint"):
        return (base or []) + over
    return over


def scaled(base):
    """compose.yml with scale.yml on top, `extends` carried out."""
    over = load("scale.yml")
    for service in over["services"].values():
        if isinstance(parent := service.pop("extends", None), dict):
            definition = merge(base["services"][parent["service"]], service)
            service.clear()
            service.update(definition)
    return merge(base, over)


SINGLE = load("compose.yml")
STACKS = {"compose.yml": SINGLE, "scale.yml": scaled(load("compose.yml"))}


def settings(role):
    """The settings that a role knows, from the table of README.md, which a test of its own holds to the program's."""
    names = set()
    table = (REPOSITORY / "README.md").read_text().split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    for row in table.splitlines()[3:]:
        if len(cells := [cell.strip() for cell in row.strip("|").split(" | ")]) == 4 and (
            cells[3] == "all" or role in cells[3].split(", ")
        ):
            name = re.match(r"`(\w+)`", cells[0])[1]
            names |= {name, f"{name}_FILE"} if "_FILE" in cells[0] else {name}
    return names


def of_every_service(check):
    def test(self):
        for stack, definition in STACKS.items():
            for name, service in definition["services"].items():
                with self.subTest(stack=stack, service=name):
                    check(self, definition, name, service)

    return test


class Services(unittest.TestCase):
    def test_valid_by_the_specification(self):
        files = [COMPOSE / "compose.yml", COMPOSE / "scale.yml"]
        with tempfile.TemporaryDirectory() as folder:
            for file in files:
                # The schema knows no tags.
                plain = pathlib.Path(folder, file.name)
                plain.write_text(re.sub(r"!reset ", "", file.read_text()))
            done = subprocess.run(
                [
                    TOOLS / "check-jsonschema",
                    "--builtin-schema",
                    "vendor.compose-spec",
                    *pathlib.Path(folder).iterdir(),
                ],
                capture_output=True,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @of_every_service
    def test_images_have_a_tag_that_stays(self, definition, name, service):
        self.assertRegex(service["image"], r"^[a-z0-9./-]+:[a-z0-9][a-z0-9.-]*$")
        self.assertNotIn("latest", service["image"])

    @of_every_service
    def test_every_container_is_confined(self, definition, name, service):
        self.assertIs(service["read_only"], True)
        self.assertEqual(service["cap_drop"], ["ALL"])
        self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
        self.assertRegex(service["user"], r"^[1-9]\d*:\d+$")
        self.assertNotIn("privileged", service)
        self.assertNotIn("cap_add", service)
        for limit in ("mem_limit", "cpus", "pids_limit"):
            self.assertIn(limit, service)

    @of_every_service
    def test_every_container_is_watched_and_started_again(self, definition, name, service):
        if name in ONE_SHOT:
            self.assertEqual(service["restart"], "no")
        else:
            self.assertEqual(service["restart"], "unless-stopped")
            check = service["healthcheck"]
            self.assertLessEqual({"test", "interval", "timeout", "start_period", "retries"}, set(check))

    @of_every_service
    def test_waits_for_what_it_needs(self, definition, name, service):
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            self.assertEqual(how["condition"], expected, needed)
            self.assertIn(needed, definition["services"])
        if "SLUICE_KAFKA_BROKERS" in service.get("environment", {}) and name != "setup":
            self.assertIn("setup", service["depends_on"])

    @of_every_service
    def test_writes_only_to_named_volumes_and_memory(self, definition, name, service):
        for volume in service.get("volumes", []):
            source, _, *mode = volume.split(":")
            if source.startswith("."):
                self.assertEqual(mode, ["ro"], volume)
                if not source.startswith("./secrets"):
                    self.assertTrue((COMPOSE / source).exists(), volume)
            else:
                self.assertIn(source, definition["volumes"])
        for entry in service.get("tmpfs", []):
            self.assertIn("size=", entry)

    def test_networks_keep_apart(self):
        for stack, definition in STACKS.items():
            members = {
                network: {
                    name for name, service in definition["services"].items() if network in service.get("networks", [])
                }
                for network in definition["networks"]
            }
            families = {network: {re.sub(r"-\d$", "", name) for name in names} for network, names in members.items()}
            with self.subTest(stack):
                self.assertEqual(families["mongodb"] - {"mongo-set"}, {"mongo", "setup", "sink", "grafana"})
                self.assertEqual(families["kafka"], {"kafka", "setup", "ingest", "bridge", "sink"})
                self.assertEqual(families["mqtt"], {"mosquitto", "bridge"})
                self.assertEqual(families["dashboards"], {"prometheus", "grafana"})
                for network, options in definition["networks"].items():
                    if not options.get("internal"):
                        # Its container, and where there are several, the proxy before them.
                        self.assertEqual(len(members[network] - {"proxy"}), 1, network)
            for name, service in definition["services"].items():
                if service.get("ports"):
                    self.assertTrue(
                        any(not definition["networks"][network].get("internal") for network in service["networks"]),
                        name,
                    )

    @of_every_service
    def test_published_on_this_machine_only_unless_said(self, definition, name, service):
        for port in service.get("ports") or []:
            self.assertRegex(port, r"^(127\.0\.0\.1|\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}):")

    @of_every_service
    def test_settings_are_sluices(self, definition, name, service):
        role = service.get("command", [""])[0]
        if name == "keys":
            role = "keys"
        if not service["image"].startswith("sluice:"):
            role = ""
        known = settings(role) if role else set()
        used = {variable for variable in service.get("environment", {}) if variable.startswith("SLUICE_")}
        self.assertEqual(used - known, set())
        self.assertEqual(bool(used), bool(role))

    @of_every_service
    def test_secrets_are_files(self, definition, name, service):
        for secret in service.get("secrets", []):
            self.assertEqual(definition["secrets"][secret], {"file": f"secrets/{secret}"})
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_URI|_URL", variable) and value:
                self.assertRegex(variable, r"_FILE$")
                self.assertTrue(value.startswith("/run/secrets/"), variable)
                self.assertIn(value.removeprefix("/run/secrets/"), service["secrets"])
            self.assertNotRegex(str(value), r"://[^/]*:[^/]*@")

    def test_provisioning_finds_what_it_names(self):
        text = "".join(path.read_text() for path in (REPOSITORY / "grafana/provisioning").rglob("*.yaml"))
        grafana = SINGLE["services"]["grafana"]
        given = set(grafana["environment"]) | set(re.findall(r"GRAFANA_\w+(?==\$\$)", " ".join(grafana["entrypoint"])))
        self.assertEqual(set(re.findall(r"\$\{?(GRAFANA_\w+)", text)) - given, set())

    def test_prometheus_asks_the_roles_where_they_listen(self):
        targets = re.findall(r"\[\"(\w+):(\d+)\"\]", (REPOSITORY / "grafana/prometheus/prometheus.yml").read_text())
        listening = {
            name: service["environment"]["SLUICE_MANAGEMENT_LISTEN"].split(":")[1]
            for name, service in SINGLE["services"].items()
            if "SLUICE_MANAGEMENT_LISTEN" in service.get("environment", {})
        }
        self.assertEqual(dict(targets), listening)


class Init(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0, "files get the owners of containers, which takes root")
    def test_makes_everything_once(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder, "init")
            shutil.copy(COMPOSE / "init", script)
            secrets = pathlib.Path(folder, "secrets")

            def init(*words, status=0):
                done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
                self.assertEqual(done.returncode, status, done.stderr)
                return done.stdout

            def contents():
                return {
                    str(path.relative_to(secrets)): path.read_bytes() for path in secrets.rglob("*") if path.is_file()
                }

            init("--no-key", "sluice.example", "192.0.2.7")
            first = contents()
            init("--no-key")
            self.assertEqual(contents(), first)

            owners = {
                "mongodb_root": 999,
                "mongodb_sink_uri": 10001,
                "grafana_admin": 472,
                "mosquitto/passwords": 1883,
                "ca.key": 0,
            }
            for name in first:
                status = (secrets / name).stat()
                self.assertEqual(status.st_mode & 0o777, 0o644 if name == "ca.pem" else 0o600, name)
                self.assertEqual(status.st_uid, owners.get(name, status.st_uid), name)
            self.assertEqual(secrets.stat().st_mode & 0o777, 0o700)
            for stack in STACKS.values():
                for secret in stack["secrets"]:
                    self.assertIn(secret, first)

            for certificate in ("ingest.pem", "mosquitto/mqtt.pem"):
                shown = subprocess.run(
                    [
                        "openssl",
                        "verify",
                        "-CAfile",
                        secrets / "ca.pem",
                        "-verify_hostname",
                        "sluice.example",
                        secrets / certificate,
                    ],
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(shown.returncode, 0, shown.stderr)

            name, password = init("--device", "greenhouse-3").split()
            self.assertEqual(name, "greenhouse-3")
            users = dict(line.split(":", 1) for line in (secrets / "mosquitto/passwords").read_text().splitlines())
            self.assertEqual(set(users), {"bridge", "health", "greenhouse-3"})
            self.assertNotIn(password, users["greenhouse-3"])
            init("--device", "greenhouse-3", status=1)
            init("--device", "bridge", status=1)
            init("--device", "a/#", status=1)
            init("--remove-device", "greenhouse-3")
            self.assertEqual(contents(), first)

            init("--no-key", "--rotate", "users/sluice-sink", "ingest", "mqtt_bridge")
            changed = {name for name, content in contents().items() if first[name] != content}
            self.assertEqual(
                changed,
                {
                    "users/sluice-sink",
                    "mongodb_sink_uri",
                    "ingest.pem",
                    "ingest.key",
                    "mqtt_bridge",
                    "mqtt_bridge_url",
                    "mosquitto/passwords",
                },
            )
            init("--no-key", "--rotate", "mongodb_root", status=1)
            init("--no-key", "--replica-set")
            self.assertIn("mongo-3", (secrets / "mongodb_sink_uri").read_text())


class Dockerfiles(unittest.TestCase):
    def test_hadolint(self):
        for file in (REPOSITORY / "Dockerfile", COMPOSE / "grafana/Dockerfile"):
            done = subprocess.run([TOOLS / "hadolint", file], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_runs_as_a_user_and_is_watched(self):
        text = (REPOSITORY / "Dockerfile").read_text()
        self.assertRegex(text, r"(?m)^USER 10001:10001$")
        self.assertRegex(text, r"(?m)^HEALTHCHECK ")
        self.assertIn("--static-swift-stdlib", text)
        for base in re.findall(r"(?m)^FROM (\S+)", text):
            self.assertRegex(base, r":[0-9a-z.-]+$")

    def test_builds_from_the_packages_of_install_dependencies(self):
        text = (REPOSITORY / "Dockerfile").read_text()
        packages = re.search(
            r"# To build:.*?\n(.*?)\n  #", (REPOSITORY / "scripts/install-dependencies").read_text(), re.S
        )[1].split()
        self.assertEqual([name for name in packages if name not in text], [])

    def test_nothing_of_this_folder_is_sent_that_is_not_built_from(self):
        lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        self.assertFalse([rule for rule in rules if rule.startswith("!") and "secret" in rule])


if __name__ == "__main__":
    unittest.main()
