"""FastAPI and arq."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import ArqRedis, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job
from fastapi import FastAPI, Request
from pydantic import BaseModel

SETTINGS = RedisSettings(unix_socket_path=os.environ["REDIS_SOCKET"])


async def adds(_: dict[str, object], a: int, b: int) -> int:
    return a + b


class WorkerSettings:
    functions = (adds,)
    redis_settings = SETTINGS
    # Tuned: by default it looks for jobs every half second.
    poll_delay = 0.005
    max_jobs = 100


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = await create_pool(SETTINGS)
    yield
    await app.state.redis.aclose()


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
async def submit(params: Params, request: Request) -> Accepted:
    redis: ArqRedis = request.app.state.redis
    job = await redis.enqueue_job("adds", params.a, params.b)
    assert job is not None
    return Accepted(task_id=job.job_id)


@web.get("/results/{task_id}")
async def poll(task_id: str, request: Request) -> Result:
    found = await Job(task_id, request.app.state.redis).result_info()
    return Result(ready=False) if found is None else Result(ready=True, result=found.result)
