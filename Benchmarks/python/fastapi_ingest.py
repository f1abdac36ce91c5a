"""HTTP into Kafka as a Python service does it: validates, produces, and answers before Kafka has the reading."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from confluent_kafka import Producer
from fastapi import FastAPI
from pydantic import BaseModel

TOPIC = os.environ["KAFKA_TOPIC"]
producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKERS"], "acks": "all", "linger.ms": 2})


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    producer.flush(10)


class Reading(BaseModel):
    device: str
    sensor: str
    value: float
    unit: str | None = None
    ts: datetime | None = None


app = FastAPI(lifespan=lifespan)


@app.post("/v1/readings", status_code=202)
async def post_reading(reading: Reading) -> dict[str, int]:
    producer.produce(TOPIC, key=reading.device, value=reading.model_dump_json(exclude_none=True))
    producer.poll(0)
    return {"accepted": 1}
