"""FastAPI and taskiq, with a Redis stream as the broker, which acknowledges."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

ADDRESS = f"unix://{os.environ['REDIS_SOCKET']}"

# From the stream's beginning: by default a group made now knows nothing of what has been submitted before.
broker = RedisStreamBroker(ADDRESS, consumer_id="0").with_result_backend(RedisAsyncResultBackend(ADDRESS))


@broker.task
async def adds(a: int, b: int) -> int:
    return a + b


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


web = FastAPI(lifespan=lifespan)


class Params(BaseModel):
    a: int
    b: int


class Accepted(BaseModel):
    task_id: str


class Result(BaseModel):
    ready: bool
    result: int | None = None


@web.post("/jobs", status_code=202)
async def submit(params: Params) -> Accepted:
    task = await adds.kiq(params.a, params.b)
    return Accepted(task_id=task.task_id)


@web.get("/results/{task_id}")
async def poll(task_id: str) -> Result:
    if not await broker.result_backend.is_result_ready(task_id):
        return Result(ready=False)
    found = await broker.result_backend.get_result(task_id)
    return Result(ready=True, result=found.return_value)
