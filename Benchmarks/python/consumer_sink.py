"""Kafka into a time-series collection as a Python consumer does it: batches of 1,000, then the commit."""

import argparse
import json
from datetime import datetime

from confluent_kafka import Consumer
from pymongo import MongoClient

BATCH = 1_000


def document(value: bytes) -> dict:
    reading = json.loads(value)
    return {
        "ts": datetime.fromisoformat(reading["ts"]),
        "meta": {"device": reading["device"], "sensor": reading["sensor"], "unit": reading.get("unit")},
        "value": reading["value"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("brokers", "topic", "group", "uri", "database"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    database = MongoClient(arguments.uri)[arguments.database]
    database.create_collection("readings", timeseries={"timeField": "ts", "metaField": "meta"})
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
            database.readings.insert_many([document(message.value()) for message in messages], ordered=False)
            consumer.commit(asynchronous=False)


if __name__ == "__main__":
    main()
