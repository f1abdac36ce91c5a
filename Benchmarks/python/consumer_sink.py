"""Kafka into a time-series collection as a Python consumer does it: batches of 1,000, then the commit."""

import argparse
import json
from datetime import UTC, datetime

from confluent_kafka import Consumer, Message
from pymongo import MongoClient

BATCH = 1_000


def document(message: Message) -> dict:
    reading = json.loads(message.value())
    return {
        "ts": datetime.fromisoformat(reading["ts"]),
        "meta": {"device": reading["device"], "sensor": reading["sensor"], "unit": reading.get("unit")},
        "value": reading["value"],
    }


def full_document(message: Message) -> dict:
    """With what Sluice stores, too: when it came in, and where it is on the topic."""
    received = int(dict(message.headers())["received"])
    origin = {"p": message.partition(), "o": message.offset(), "e": 1}
    return document(message) | {"received": datetime.fromtimestamp(received / 1_000, UTC), "k": origin}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("brokers", "topic", "group", "uri", "database"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--full", action="store_true", help="Sluice's documents, into a collection that is there")
    arguments = parser.parse_args()
    database = MongoClient(arguments.uri)[arguments.database]
    if not arguments.full:
        database.create_collection("readings", timeseries={"timeField": "ts", "metaField": "meta"})
    convert = full_document if arguments.full else document
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([arguments.topic])
    while True:
        messages = [message for message in consumer.consume(BATCH, timeout=0.5) if not message.error()]
        if messages:
            database.readings.insert_many([convert(message) for message in messages], ordered=False)
            consumer.commit(asynchronous=False)


if __name__ == "__main__":
    main()
