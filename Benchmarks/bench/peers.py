"""Telegraf and Kafka Connect with their own configuration files, in which only addresses and names are replaced."""

from collections.abc import Mapping
from pathlib import Path

from bench.child import Child
from bench.errors import ContenderFailed, Skipped
from bench.workspace import Workspace


def start_telegraf(workspace: Workspace, name: str, file: str, replacements: Mapping[str, str]) -> Child:
    folder = _peer(workspace, "telegraf")
    configuration = _configure(workspace, folder / file, replacements)
    return workspace.start(name, [folder / "telegraf", "--config", configuration])


def start_kafka_connect(workspace: Workspace, worker: Mapping[str, str], connector: Mapping[str, str]) -> Child:
    folder = _peer(workspace, "kafka-connect")
    kafka = workspace.servers / "kafka"
    return workspace.start(
        "Kafka Connect",
        [
            *("java", "-Xmx512m", "-cp", f"{kafka}/libs/*:{folder}/libs/*"),
            f"-Dlog4j2.configurationFile={kafka}/log4j2-tools.properties",
            "org.apache.kafka.connect.cli.ConnectStandalone",
            _configure(workspace, folder / "worker.properties", worker),
            _configure(workspace, folder / "sink.properties", connector),
        ],
    )


def _peer(workspace: Workspace, name: str) -> Path:
    folder = workspace.peers / name
    if not folder.is_dir():
        raise Skipped(f"{name} is not in the folder of peers (--peers)")
    return folder


def _configure(workspace: Workspace, original: Path, replacements: Mapping[str, str]) -> Path:
    """A copy of a configuration file in which each key of `replacements` became its value."""
    text = original.read_text()
    for old, new in replacements.items():
        if old not in text:
            raise ContenderFailed(f"{original.name} has no '{old}' to replace")
        text = text.replace(old, new)
    copy = workspace.folder / original.name
    copy.write_text(text)
    return copy
