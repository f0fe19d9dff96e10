"""One installation: a Redis and a data directory of its own, the application, its processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from flask import Flask
from flask.testing import FlaskClient

from libs.flask_celery.backend import JobBackend
from libs.flask_celery.factory import FlaskCelery
from libs.flask_celery.queues_in_use import queues_in_use
from libs.flask_celery.testing.applications import ONE_POOL_SIZE, built_app
from libs.flask_celery.testing.redis_server import RedisServer
from libs.flask_celery.testing.worker_process import ROOT, WorkerProcess

#: Tests make more requests than any client; those that are about the limits set them.
NO_RATE_LIMITS = {"RATE_LIMIT_KEY": "0", "RATE_LIMIT_SUBMIT": "0", "RATE_LIMIT_ADDRESS": "0"}

#: For who is not to be turned away when other tests have the disk and the processor: longer than clients of the
#: service are made to wait.
PATIENT = {"CELERY_REDIS_SOCKET_TIMEOUT": "20", "CELERY_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 20}'}


@dataclass
class Installation:
    """What belongs together: ``environment`` is that of its processes, ``folder`` has their logs and their data."""

    redis: RedisServer
    app: Flask
    folder: Path
    environment: dict[str, str]
    processes: ExitStack = field(default_factory=ExitStack)

    @property
    def celery(self) -> FlaskCelery:
        """That of the application, which only submits."""
        celery_app: FlaskCelery = self.app.extensions["celery"]
        return celery_app

    @property
    def backend(self) -> JobBackend:
        """Where the records are."""
        backend: JobBackend = self.celery.backend
        return backend

    @property
    def client(self) -> FlaskClient:
        """A new client without a key."""
        return self.app.test_client()

    def start_worker(self, *options: str) -> WorkerProcess:
        """With options of ``celery worker``; it is stopped with the installation."""
        worker = WorkerProcess(self.environment, self.folder / "worker.log", *options)
        self.processes.callback(worker.stop)
        return worker.wait_ready()

    def start_worker_of_all_queues(self, *options: str) -> WorkerProcess:
        """One that runs every task of the application."""
        self.celery.finalize()
        return self.start_worker("--queues", ",".join(sorted(queues_in_use(self.celery))), *options)


Made = TypeVar("Made", bound=Installation)


@contextmanager
def an_installation(
    create_app: Callable[[], Flask], folder: Path, made: Callable[..., Made], /, **settings: str
) -> Iterator[Made]:
    """Build the application in an environment of its own: only the settings here, and none of the caller's of Celery.

    Args:
        create_app: called with that environment in place, which is put back when it has returned.
        made: ``Installation``, or a subclass with more of it.
        settings: environment variables; ``{redis}`` in one is the address of this Redis, without a database.
    """
    redis = RedisServer()
    with ExitStack() as stack:
        stack.callback(redis.remove)
        redis.start()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("CELERY") or name == "DATABASE_URL"]:
                patch.delenv(name)
            places = {"REDIS_URL": redis.url, "DATA_DIR": str(folder / "var")}
            for name, value in {**places, **NO_RATE_LIMITS, **settings}.items():
                patch.setenv(name, value.replace("{redis}", redis.url))
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            # What a test does from its own process is not what it is about.
            own_process = PATIENT if "BROKER_POOL_LIMIT" in settings else {**PATIENT, **ONE_POOL_SIZE}
            for name, value in own_process.items():
                if name not in settings:
                    patch.setenv(name, value)
            app = stack.enter_context(built_app(create_app))
        installation = made(redis, app, folder, environment)
        stack.enter_context(installation.processes)
        yield installation
