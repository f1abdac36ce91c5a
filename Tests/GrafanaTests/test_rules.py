"""What Prometheus makes of its rules, where its promtool is installed."""

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import grafana

PROMTOOL = shutil.which("promtool")
RULES = grafana.FOLDER / "prometheus"


@unittest.skipUnless(PROMTOOL, "no promtool")
class RulesTests(unittest.TestCase):
    def check(self, series, alerts=(), values=()):
        """`series`: names with samples, one each 15 s. `alerts`: minute, pattern of the name, and whether it fires. `values`: minute, expression,
        and its value."""
        test = {
            "interval": "15s", "input_series": [{"series": name, "values": samples} for name, samples in series.items()],
            "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertname=~"{name}",alertstate="firing"}}) or vector(0)', "eval_time": f"{minute}m",
                 "exp_samples": [{"labels": "{}", "value": int(fires)}]} for minute, name, fires in alerts
            ] + [
                {"expr": f"sum({expression})", "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
                for minute, expression, value in values
            ],
        }
        rules = [str(path) for path in (RULES / "alerts.yml", RULES / "recording.yml")]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "test.yml")
            file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "15s", "tests": [test]}))
            done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_an_outage_is_told_of_until_it_ends(self):
        """What is on its way when Kafka goes away fails at once; after that nothing is taken, and nothing fails."""
        name = "SluiceNotReady"
        self.check(
            {'sluice_ready{job="sluice-bridge"}': "1x40 0x100 1x100", 'sluice_kafka_failed_total{job="sluice-bridge"}': "0x40 12x200"},
            [(9, name, False), (14, name, False), (16, name, True), (35, name, True), (36, name, False)])

    def test_a_restart_is_not_told_of(self):
        self.check({'sluice_ready{job="sluice-sink"}': "1x40 _x4 0x4 1x40"}, [(minute, "SluiceNotReady", False) for minute in range(20)])

    def test_a_quiet_installation_is_well(self):
        zero = {f"{name}{{job=\"sluice-{role}\"}}": f"{value}x400" for role, name, value in (
            ("sink", "sluice_sink_lag", 0), ("sink", "sluice_sink_written_total", 0), ("sink", "sluice_ready", 1), ("sink", "up", 1))}
        self.check(zero, [(90, ".+", False)])

    def test_dead_letters(self):
        """The first of a reason too; and the rate, when only bridges or only sinks ever had any."""
        for metric, name in (("sluice_sink_dead_letters_total", "SluiceDeadLetters"), ("sluice_mqtt_dead_total", "SluiceDeadLettersOfMQTT")):
            with self.subTest(metric):
                self.check({f'{metric}{{reason="json"}}': "_x40 1x200"}, [(9, name, False), (12, name, True), (40, name, False)])
                self.check({f'{metric}{{reason="json"}}': "0+3x100"}, values=[(10, "sluice:dead_letters:rate", 0.2)])


if __name__ == "__main__":
    unittest.main()
