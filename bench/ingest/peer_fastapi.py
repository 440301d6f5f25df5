"""The gateway most Python teams would write: FastAPI, uvicorn, aiokafka, pydantic models.

Settings are the documented best ones: uvicorn with uvloop and httptools and no access log;
aiokafka with acks=all, idempotence, snappy and a 5 ms linger; one pydantic model per event, and a
route each for one event and for many, so that no union has to be tried; the answer waits for every
delivery. The API key is looked up in memory, as ours is.

Arguments: KAFKA_BOOTSTRAP PORT.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from bench.ingest.ours import KEY

BOOTSTRAP = sys.argv[1] if len(sys.argv) > 1 else ""
TOPIC = "learning-events"
KEYS = {KEY: "bench"}


class Event(BaseModel):
    """The same fields, lengths and characters as ours; deeper checks of the data are left out."""

    model_config = ConfigDict(extra="forbid")

    event_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    session_id: Annotated[str, Field(min_length=1, max_length=100)]
    user_id: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    event_type: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^_]")]
    timestamp: datetime | None = None
    event_data: dict[str, Any] = {}


class Stored(Event):
    """What goes into the log."""

    client_id: str
    received_at: int


class Accepted(BaseModel):
    success: bool
    event_ids: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.producer = AIOKafkaProducer(
        bootstrap_servers=BOOTSTRAP,
        acks="all",
        enable_idempotence=True,
        compression_type="snappy",
        linger_ms=5,
        max_batch_size=524_288,
    )
    await app.state.producer.start()
    yield
    await app.state.producer.stop()


app = FastAPI(lifespan=lifespan)


# A plain `def` would be sent to a thread for every request.
async def tenant(authorization: Annotated[str, Header()]) -> str:
    client_id = KEYS.get(authorization.removeprefix("Bearer "))
    if client_id is None:
        raise HTTPException(401)
    return client_id


@app.post("/v1/event")
async def post_event(event: Event, client_id: Annotated[str, Depends(tenant)]) -> Accepted:
    return await store([event], client_id)


@app.post("/v1/events")
async def post_events(events: list[Event], client_id: Annotated[str, Depends(tenant)]) -> Accepted:
    return await store(events, client_id)


async def store(events: list[Event], client_id: str) -> Accepted:
    received_at = time.time_ns() // 1_000_000
    deliveries = []
    for event in events:
        stored = Stored.model_construct(
            **event.__dict__, client_id=client_id, received_at=received_at
        )
        deliveries.append(
            await app.state.producer.send(
                TOPIC,
                stored.model_dump_json(exclude_none=True).encode(),
                key=event.session_id.encode(),
                timestamp_ms=received_at,
            )
        )
    await asyncio.gather(*deliveries)
    return Accepted(success=True, event_ids=[event.event_id for event in events])


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
