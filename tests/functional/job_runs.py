"""Publishing probe jobs to an installation and waiting for what becomes of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import _state
from celery.result import AsyncResult
from flask import g
from redis import Redis
from sqlalchemy import text

from app.extensions import db
from libs.flask_celery import ExpiredJobError, FlaskCelery, JobRecord, JobState, UnknownJobError
from libs.flask_celery.message_copy import expanded
from tests.conftest import Worker, wait_until
from tests.installation import Installation, an_installation

PROBES = (
    "tests.functional.probe_jobs",
    "tests.functional.transactional_jobs",
    "tests.functional.wished_jobs",
    "tests.functional.large_jobs",
    "tests.rabbitmq.retrying_jobs",
    "tests.functional.batch_jobs",
    "tests.functional.unique_jobs",
    "tests.notes.settings_jobs",
    "tests.functional.limited_jobs",
)

LOAD_PROBES = ("-I", ",".join(PROBES))


@contextmanager
def probe_jobs() -> Iterator[None]:
    """Celery apps finalized meanwhile know the probe jobs; those of other tests do not list them."""
    before = set(_state._on_app_finalizers)
    module, *_ = [importlib.import_module(name) for name in PROBES]
    declared = module.__dict__.setdefault("DECLARED", set(_state._on_app_finalizers) - before)
    _state._on_app_finalizers |= declared
    yield
    _state._on_app_finalizers -= declared


class JobRuns:
    """The jobs of one installation, seen from the side of the API."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.celery: FlaskCelery = installation.app.extensions["celery"]
        self.notes_client = Redis.from_url(installation.redis.url, db=3, decode_responses=True)
        with installation.app.app_context():
            db.session.execute(text("CREATE TABLE probe_rows (name VARCHAR(200) PRIMARY KEY)"))
            reference = "parent VARCHAR(200) REFERENCES probe_rows DEFERRABLE INITIALLY DEFERRED"
            db.session.execute(text(f"CREATE TABLE probe_children ({reference})"))
            db.session.execute(text("CREATE TABLE probe_effects (job VARCHAR(200), run VARCHAR(32))"))
            db.session.commit()

    def close(self) -> None:
        self.notes_client.close()

    def publish(self, name: str, *args: Any, by: str = "", **options: Any) -> AsyncResult:
        """As code of the application would, for the principal ``by``."""
        with self.installation.app.app_context():
            g.principal = by
            return self.celery.tasks[f"probe.{name}"].apply_async(args, **options)

    def deliver_again(self, task_id: str) -> None:
        """Queue the job's message once more, as when its lease was over while its run goes on."""
        copy = self.celery.backend.client.get(self.celery.backend.keys.message(task_id))
        message, queue = expanded(copy)
        message["properties"]["delivery_tag"] = str(uuid4())
        with Redis.from_url(self.installation.redis.url, db=2) as broker:
            broker.lpush(queue, json.dumps(message))

    def record(self, task_id: str) -> JobRecord:
        record: JobRecord = self.celery.backend.records.get(task_id)
        return record

    def state(self, task_id: str) -> JobState | None:
        """None when there is no record."""
        try:
            return self.record(task_id).state
        except (UnknownJobError, ExpiredJobError):
            return None

    def wait_for_state(self, task_id: str, *states: JobState) -> None:
        wait_until(lambda: self.state(task_id) in states, what=f"{states} of {task_id}")

    def ended(self, task_id: str, *, timeout: float = 30) -> JobRecord:
        def final() -> bool:
            state = self.state(task_id)
            return state is not None and state.ready

        wait_until(final, timeout=timeout, what=f"the end of job {task_id}")
        return self.record(task_id)

    def run(self, name: str, *args: Any, by: str = "", **options: Any) -> JobRecord:
        return self.ended(self.publish(name, *args, by=by, **options).id)

    def notes(self, task_id: str, count: int = 1) -> list[dict[str, Any]]:
        """What the job has noted, once that is ``count`` notes."""
        key = f"notes-{task_id}"
        wait_until(lambda: self.notes_client.llen(key) >= count, what=f"{count} notes of {task_id}")
        return [json.loads(entry) for entry in self.notes_client.lrange(key, 0, -1)]

    def noted(self, task_id: str) -> int:
        return self.notes_client.llen(f"notes-{task_id}")

    def say_go(self, task_id: str) -> None:
        self.notes_client.rpush(f"go-{task_id}", "go")

    def is_queued(self, task_id: str) -> bool:
        """Whether a message of the job waits, or is with a worker that has not acknowledged it."""
        with Redis.from_url(self.installation.redis.url, db=2) as broker:
            messages = broker.lrange("default", 0, -1) + broker.hvals("unacked")
        return any(task_id.encode() in message for message in messages)

    def meta(self, task_id: str) -> dict[str, Any]:
        """The record as any Celery client reads it from Redis."""
        meta: dict[str, Any] = json.loads(self.celery.backend.client.get(f"celery-task-meta-{task_id}"))
        return meta

    def rows(self, name: str) -> int:
        """How many committed rows have this name."""
        with self.installation.app.app_context():
            query = text("SELECT count(*) FROM probe_rows WHERE name = :name")
            return int(db.session.execute(query, {"name": name}).scalar_one())

    def effects(self, job: str) -> list[str]:
        """The runs of the job whose effect is committed."""
        with self.installation.app.app_context():
            query = text("SELECT run FROM probe_effects WHERE job = :job")
            return list(db.session.execute(query, {"job": job}).scalars())


def is_sqlite(runs: JobRuns) -> bool:
    with runs.installation.app.app_context():
        return db.engine.dialect.name == "sqlite"


@contextmanager
def job_runs(folder: Path, **settings: str) -> Iterator[JobRuns]:
    """An installation of its own without a worker; ``settings`` are environment variables."""
    with ExitStack() as stack:
        with probe_jobs():
            installation = stack.enter_context(an_installation(folder, **settings))
            installation.app.extensions["celery"].finalize()
        runs = JobRuns(installation)
        stack.callback(runs.close)
        yield runs


def start_probe_worker(runs: JobRuns, *options: str) -> Worker:
    return runs.installation.start_worker(*LOAD_PROBES, *options)
