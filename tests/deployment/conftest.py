"""Two deployments on one Redis: the same tasks, each with its application, data and workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from celery import Celery
from flask import Flask
from redis import Redis

import tests.delivery.counted_jobs  # registers its tasks
from app.api_keys import Scope, create_key
from app.extensions import db
from config import load_config
from tests.conftest import ROOT, RedisServer, Worker, built_app
from tests.delivery.counted_jobs import STARTS
from tests.installation import bearer

#: Seconds; short, so that a killed worker's jobs are back soon.
VISIBILITY_TIMEOUT = 3


@dataclass
class Deployment:
    name: str
    app: Flask
    environment: dict[str, str]
    folder: Path
    redis: RedisServer
    workers: list[Worker] = field(default_factory=list)

    @property
    def celery(self) -> Celery:
        found: Celery = self.app.extensions["celery"]
        return found

    def start_worker(self, *options: str) -> Worker:
        log = self.folder / f"{self.name}{len(self.workers)}.log"
        worker = Worker(self.environment, log, "-I", "tests.delivery.counted_jobs", "--pool", "threads", *options)
        self.workers.append(worker)
        return worker.wait_ready()

    def headers(self) -> dict[str, str]:
        with self.app.app_context():
            key = create_key(db.session(), "ann", {Scope.SUBMIT, Scope.READ})
            db.session.commit()
        return bearer(key)

    def ran(self, label: str) -> int:
        """How often a worker of this deployment has started the job."""
        pids = {worker.process.pid for worker in self.workers}
        return sum(pid in pids for pid in starts(self.redis, label))

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()


def starts(redis: RedisServer, label: str) -> list[int]:
    """The processes that have started the job, whoever's they are."""
    with Redis.from_url(redis.url, db=5, decode_responses=True) as client:
        marks = [mark.split() for mark in client.lrange(STARTS, 0, -1)]
    return [int(pid) for found, pid in marks if found == label]


def deployment(stack: ExitStack, name: str, redis: RedisServer, folder: Path) -> Deployment:
    options = f'{{"visibility_timeout": {VISIBILITY_TIMEOUT}, "unacked_restore_interval": 0.5}}'
    settings = {
        "DEPLOYMENT": name,
        "REDIS_URL": redis.url,
        "DATA_DIR": str(folder / name),
        "CELERY_BROKER_TRANSPORT_OPTIONS": options,
        "CELERY_TASK_ROUTES": '{"test.join": {"queue": "joining"}}',
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable in [found for found in os.environ if found.startswith("CELERY_") or found == "DATABASE_URL"]:
            patch.delenv(variable)
        for variable, value in settings.items():
            patch.setenv(variable, value)
        config = load_config()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    app = stack.enter_context(built_app(config))
    made = Deployment(name, app, environment, folder, redis)
    stack.callback(made.close)
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Deployment]]:
    """Acme and globex on a Redis of their own, without a worker yet."""
    assert tests.delivery.counted_jobs
    folder = tmp_path_factory.mktemp("deployments")
    redis = RedisServer()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, redis.folder)
        stack.callback(redis.stop, kill=True)
        redis.start()
        yield deployment(stack, "acme", redis, folder), deployment(stack, "globex", redis, folder)


@pytest.fixture(scope="module")
def working_pair(pair: tuple[Deployment, Deployment]) -> tuple[Deployment, Deployment]:
    """Each with a worker of its default queue and of two more, for tests that leave them as they are."""
    for one in pair:
        one.start_worker("--concurrency", "2", "-Q", "default,joining,compute")
    return pair
