"""Schedules of one installation, and beats in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from config import Config
from libs.flask_celery import FlaskCelery, JobRecord, Schedule, Schedules
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.schedules.beat import JobScheduler
from tests.conftest import built_app


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """As beat has it: in the worker's role."""
    with built_app(replace(config, role="worker")) as app:
        app.extensions["celery"].finalize()
        app.extensions["celery"].conf.beat_schedule = {}  # each test says what is in the code
        yield app
        app.extensions["celery"].redbeat_redis.close()


@pytest.fixture
def celery_app(app: Flask) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    return celery_app


@pytest.fixture
def schedules(celery_app: FlaskCelery) -> Schedules:
    return Schedules(celery_app)


@pytest.fixture
def start_beat(celery_app: FlaskCelery) -> Iterator[Callable[[], JobScheduler]]:
    """``start_beat()`` is one more beat, which does something when it is told to ``tick()``."""
    beats: list[JobScheduler] = []

    def start() -> JobScheduler:
        beats.append(JobScheduler(celery_app))
        return beats[-1]

    yield start
    for beat in beats:
        beat.close()


@pytest.fixture
def beat(start_beat: Callable[[], JobScheduler]) -> JobScheduler:
    return start_beat()


class Clock:
    """Moves a schedule's due time instead of the clock: what was due ``ago`` is what a late beat finds."""

    def __init__(self, celery_app: FlaskCelery, schedules: Schedules) -> None:
        self.celery_app, self.schedules, self.client = celery_app, schedules, celery_app.redbeat_redis

    def make_due(self, schedule: Schedule, *, ago: float = 0.0) -> int:
        due = now_ms() - round(ago * 1000)
        key = self.schedules.keys.schedule(schedule.id)
        self.client.hset(key, "due", due)
        self.client.zadd(self.schedules.keys.by_due, {key: due / 1000})
        return due

    def jobs(self, owner: str = "ann") -> list[JobRecord]:
        """An owner's, newest first."""
        return [record for _, record in self.celery_app.backend.records.newest(owner)]


@pytest.fixture
def clock(celery_app: FlaskCelery, schedules: Schedules) -> Clock:
    return Clock(celery_app, schedules)


@pytest.fixture
def make(schedules: Schedules) -> Callable[..., Schedule]:
    """``make(timing)`` keeps a schedule of ann's."""

    def make(timing: Any, **fields: Any) -> Schedule:
        given = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}, "owner": "ann", **fields}
        return schedules.create(Schedule(id="", timing=timing, **given))[0]

    return make
