"""The peer of HTTP ingestion: a FastAPI service with aiokafka that awaits each send. Runs in an environment of its own.

``python -m benchmarks.ingestion_http_peer BOOTSTRAP_SERVERS TOPIC PORT``. It answers as ours does, 202 once Kafka has
all of the body, with the same guarantees (acks=all, idempotence) and compression. It looks at nothing but the device's
name: no API keys, no ids, no limits.
"""

# mypy: disable-error-code="import-not-found,untyped-decorator"
# It runs in an environment of its own: ours does not have the peers.

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request


def make_app(bootstrap_servers: str, topic: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True, compression_type="lz4"
        )
        await app.state.producer.start()
        yield
        await app.state.producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/v1/telemetry", status_code=202)
    async def telemetry(request: Request) -> dict[str, int]:
        body = orjson.loads(await request.body())
        messages = body if isinstance(body, list) else [body]
        for message in messages:
            await request.app.state.producer.send_and_wait(
                topic, orjson.dumps(message), key=message["device"].encode(), headers=[("source", b"http")]
            )
        return {"accepted": len(messages)}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1], sys.argv[2]), port=int(sys.argv[3]), access_log=False, log_level="warning")
