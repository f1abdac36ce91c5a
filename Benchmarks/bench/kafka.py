"""A real Apache Kafka node of this run."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.errors import CannotRun, ContenderFailed
from bench.workspace import Command, Workspace, start_server

PARTITIONS = 4


class Kafka:
    def __init__(self, workspace: Workspace) -> None:
        """Starts it and waits until it accepts clients."""
        script = workspace.servers / "kafka" / "kafka"
        folder = workspace.folder / "kafka"
        workspace.at_end([script, "wipe", "--dir", folder])
        port = workspace.free_ports(2)
        command: Command = [script, "start", "--dir", folder, "--port", str(port), "--partitions", str(PARTITIONS)]
        self.brokers = start_server(workspace, "Kafka", command)
        self._settings: dict[str, str | int | float | bool] = {"bootstrap.servers": self.brokers, "log_level": 2}
        self._admin = AdminClient(self._settings)
        self._topics = 0
        self._warm_up()

    def new_topic(self, name: str) -> str:
        """Makes an empty topic and returns its name, which is unique in this run."""
        self._topics += 1
        topic = f"{name}-{self._topics}"
        self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
        while any(partition.leader < 0 for partition in self._partitions(topic)) or not self._partitions(topic):
            time.sleep(0.02)
        return topic

    def end_offsets(self, topic: str) -> int:
        """How many messages the topic has taken, over all partitions."""
        latest = {TopicPartition(topic, partition.id): OffsetSpec.latest() for partition in self._partitions(topic)}
        deadline = time.monotonic() + 30
        while True:
            try:
                return sum(future.result().offset for future in self._admin.list_offsets(latest).values())
            except KafkaException as error:
                # The leader of a new partition may not know yet that it is one.
                if time.monotonic() > deadline:
                    raise ContenderFailed(f"Kafka does not tell how much is on {topic}: {error}") from None
                time.sleep(0.05)

    def fill(
        self,
        topic: str,
        messages: Iterator[tuple[str, str]],
        headers: dict[str, str | bytes | None] | None = None,
        batch: int = 10_000,
    ) -> None:
        """Produces keys and values, at most `batch` a request, and waits until all are acknowledged."""
        failures: list[object] = []
        producer = Producer(
            self._settings
            | {
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 200_000,
                "batch.num.messages": batch,
            }
        )

        def report(error: object, _: object) -> None:
            if error:
                failures.append(error)

        for key, value in messages:
            while True:
                try:
                    producer.produce(topic, key=key, value=value, headers=headers, on_delivery=report)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60) or failures:
            raise CannotRun(f"Kafka did not take a backlog: {failures[:1] or 'no answer in 60 s'}")

    def _partitions(self, topic: str) -> list:
        return list(self._admin.list_topics(topic, timeout=30).topics[topic].partitions.values())

    def _warm_up(self) -> None:
        """A new Java process is slow: without this, the first contender would meet another Kafka than the rest."""
        topic = self.new_topic("warm-up")
        # Its requests are what its compiler has to have seen often.
        self.fill(topic, ((str(number % 1_000), "x" * 120) for number in range(300_000)), batch=10)
        # The first group of all has to wait until the topic of the groups' offsets is there.
        consumer = Consumer(self._settings | {"group.id": topic, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        deadline = time.monotonic() + 60
        while not (message := consumer.poll(1)) or message.error():
            if time.monotonic() > deadline:
                raise CannotRun("Kafka gave a consumer group nothing in 60 s")
        consumer.commit(message=message, asynchronous=False)
        consumer.close()
