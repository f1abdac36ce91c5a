"""What can be said of the files alone."""

import json
import re
import subprocess
import sys
import unittest

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import grafana


def metrics():
    """The names that Sluice's processes give Prometheus."""
    text = "".join(path.read_text() for path in (grafana.ROOT / "Sources").rglob("*.swift"))
    names = set(re.findall(r'(?:counter|gauge|histogram)s?\(\s*"([a-z_]+)"', text))
    return names | {f"{name}_bucket" for name in re.findall(r'histograms?\(\s*"([a-z_]+)"', text)} | {"up"}


def missing(ours, theirs, path=""):
    """Where something of ours is not in theirs."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from missing(value, theirs[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(ours, list):
        if len(ours) != len(theirs):
            yield path
        for index, (a, b) in enumerate(zip(ours, theirs)):
            yield from missing(a, b, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {ours!r}, {theirs!r}"


class FilesTests(unittest.TestCase):
    maxDiff = None

    def provisioning(self, name):
        return yaml.safe_load((grafana.FOLDER / "provisioning" / name).read_text())

    def test_files_are_what_the_program_writes(self):
        program = "import sys; sys.path.insert(0, sys.argv[1]); import generate, json; json.dump({str(k): v for k, v in generate.files().items()}, sys.stdout)"
        written = json.loads(subprocess.run([sys.executable, "-c", program, grafana.FOLDER], check=True, capture_output=True).stdout)
        there = {str(path) for folder in ("dashboards", "provisioning/alerting") for path in (grafana.FOLDER / folder).glob("*.json")}
        self.assertEqual(set(written), there)
        for path, text in written.items():
            self.assertEqual((grafana.FOLDER / path).read_text(), text, "make dashboards")

    def test_names_are_unique(self):
        boards = grafana.dashboards()
        self.assertEqual(len(boards), 6)
        for what in ("uid", "title"):
            self.assertEqual(len({board[what] for board in boards}), len(boards))
        for board in boards:
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(set(ids)), len(ids), board["title"])
        uids = [rule["uid"] for _, rule in grafana.rules()]
        self.assertEqual(len(set(uids)), len(uids))
        self.assertTrue(all(len(uid) <= 40 for uid in uids))

    def test_panels_do_not_overlap_and_say_what_they_mean(self):
        for board in grafana.dashboards():
            taken = set()
            for panel in board["panels"]:
                place = panel["gridPos"]
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
                self.assertLessEqual(place["x"] + place["w"], 24)
                self.assertFalse(cells & taken, f"{board['title']}: {panel['title']}")
                taken |= cells
                if panel["type"] != "row":
                    self.assertGreater(len(panel["description"]), 20, panel["title"])

    def test_data_sources_exist(self):
        known = {(source["type"], source["uid"]) for source in self.provisioning("datasources/sluice.yaml")["datasources"]}
        found = 0
        for board in grafana.dashboards():
            for used in self.all_sources(board):
                self.assertIn((used["type"], used["uid"]), known)
                found += 1
        for _, rule in grafana.rules():
            for part in rule["data"]:
                self.assertIn(part["datasourceUid"], {uid for _, uid in known} | {"__expr__"})
                found += 1
        self.assertGreater(found, 50)

    def all_sources(self, value):
        if isinstance(value, dict):
            if isinstance(value.get("datasource"), dict):
                yield value["datasource"]
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from self.all_sources(item)

    def test_queries_parse_and_name_no_unknown_variable(self):
        count = 0
        for query in grafana.queries():
            chosen = {}
            for variable in query.board["templating"]["list"] if query.board else []:
                # No name of a device has a quotation mark, and what only the dashboard itself offers is known.
                chosen[variable["name"]] = (
                    ["a", "b"] if variable["name"] == "dev" else ["a", 'b"c'] if variable.get("multi")
                    else variable["options"][0]["value"] if variable["type"] == "custom" else 'b"c')
            pipeline = json.loads(grafana.substitute(query.text, chosen, 1, 2, query.points))
            self.assertIsInstance(pipeline, list, query.name)
            # A field path must not be taken for a variable, nor a variable stay behind.
            fields = {name for name in grafana.variables(json.dumps(pipeline)) if name.startswith("__")} - {"__value"}
            self.assertFalse(fields, query.name)
            for name in chosen:
                self.assertNotRegex(query.text, rf"\${name}\b", query.name)
            braced = set(re.findall(r"\$\{(\w+)", query.text))
            self.assertLessEqual(braced, set(chosen), query.name)
            count += 1
        self.assertGreater(count, 40)

    def test_alert_queries_have_no_macros(self):
        for _, rule in grafana.rules():
            for part in rule["data"]:
                self.assertNotIn("$__", json.dumps(part["model"]), rule["title"])
                self.assertNotIn("${", json.dumps(part["model"]), rule["title"])
            # Grafana would expand these from its environment.
            self.assertNotIn("$", json.dumps(rule["annotations"]) + json.dumps(rule["labels"]) + rule["title"])
            self.assertEqual(rule["condition"], "B")

    def test_nothing_sets_what_the_plugin_multiplies(self):
        for path in grafana.FOLDER.rglob("*.json"):
            self.assertNotIn("aggregateMax", path.read_text())

    def test_nothing_is_lost_in_grafanas_own_model(self):
        register_default_plugins()
        for board in grafana.dashboards():
            again = json.loads(json.dumps(Dashboard.from_json(json.loads(json.dumps(board))), cls=JSONEncoder))
            self.assertEqual(list(missing(board, again)), [], board["title"])

    def test_metrics_exist(self):
        texts = [target["expr"] for board in grafana.dashboards() for panel in board["panels"]
                 for target in panel.get("targets", []) if "expr" in target]
        texts += [part["model"]["expr"] for _, rule in grafana.rules() for part in rule["data"] if "expr" in part["model"]]
        recorded = set()
        for name in ("recording.yml", "alerts.yml"):
            for group in yaml.safe_load((grafana.FOLDER / "prometheus" / name).read_text())["groups"]:
                texts += [rule["expr"] for rule in group["rules"]]
                recorded |= {rule["record"] for rule in group["rules"] if "record" in rule}
        known = metrics() | recorded
        self.assertGreater(len(texts), 40)
        for text in texts:
            self.assertEqual(text.count("("), text.count(")"), text)
            for name in re.findall(r"\b(?:sluice|process)[a-z_:]+", re.sub(r'"[^"]*"', "", text)):
                self.assertIn(name, known, text)

    def test_links_lead_to_dashboards(self):
        uids = {board["uid"] for board in grafana.dashboards()}
        linked = set(re.findall(r"/d/([a-z-]+)", "".join(path.read_text() for path in grafana.FOLDER.rglob("*.json"))))
        self.assertIn("sluice-device", linked)
        self.assertLessEqual(linked, uids)
        for board in grafana.dashboards():
            self.assertTrue(board["links"][0]["keepTime"] and board["links"][0]["includeVars"])

    def test_notifications(self):
        file = self.provisioning("alerting/notifications.yaml")
        names = {point["name"] for point in file["contactPoints"]}
        self.assertIn(file["policies"][0]["receiver"], names)
        self.assertIn("site", file["policies"][0]["group_by"])
        # What Grafana makes of the URL without the variable must not be empty.
        url = file["contactPoints"][0]["receivers"][0]["settings"]["url"]
        self.assertTrue(url.replace("${GRAFANA_ALERT_WEBHOOK}", ""))


if __name__ == "__main__":
    unittest.main()
