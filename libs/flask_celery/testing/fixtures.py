"""The fixtures for whoever writes jobs. The tests of a module share one installation and one worker."""

from collections.abc import Callable, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

import click
import pytest
from flask import Flask
from flask.testing import FlaskClient

from libs.flask_celery.testing.installation import Installation, an_installation
from libs.flask_celery.testing.redis_server import RedisServer
from libs.flask_celery.testing.running import (
    JobOutcome,
    RunJob,
    SubmitJob,
    WaitForJob,
    submit_as_clients_do,
    wait_for_end,
)
from libs.flask_celery.testing.worker_process import WorkerProcess

PRINCIPAL = "tester"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which application is tested."""
    parser.addini("taskgate_app", "What builds the application: module:function.", default="app:create_app")
    parser.addini("taskgate_keys", "Its command that makes keys: module:command.", default="app.commands:keys")


@pytest.fixture(scope="module")
def taskgate_settings() -> Mapping[str, str]:
    """Environment variables of the installation; a module's own fixture of this name says which."""
    return {}


@pytest.fixture(scope="module")
def taskgate(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, taskgate_settings: Mapping[str, str]
) -> Iterator[Installation]:
    """An installation with a Redis and a data directory of its own, without a worker yet."""
    create_app: Callable[[], Flask] = resolve_name(pytestconfig.getini("taskgate_app"))
    folder = tmp_path_factory.mktemp("taskgate")
    with an_installation(create_app, folder, Installation, **taskgate_settings) as installation:
        yield installation


@pytest.fixture(scope="module")
def taskgate_app(taskgate: Installation) -> Flask:
    """The application, as it runs in production; its tables are made."""
    return taskgate.app


@pytest.fixture(scope="module")
def embedded_redis(taskgate: Installation) -> RedisServer:
    """Its Redis, which a test may stop and start again."""
    return taskgate.redis


@pytest.fixture(scope="module")
def taskgate_client(pytestconfig: pytest.Config, taskgate: Installation) -> FlaskClient:
    """A client with a key that may do everything, in the name of ``tester``."""
    keys: click.Command = resolve_name(pytestconfig.getini("taskgate_keys"))
    client = taskgate.client
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key(taskgate.app, keys)}"
    return client


def new_key(app: Flask, keys: click.Command) -> str:
    """A key of ``app`` that may do everything, whichever application the caller is in the context of."""
    with app.app_context():  # commands take the one that there is
        made = app.test_cli_runner().invoke(keys, ["create", PRINCIPAL, "--scope", "admin"], catch_exceptions=False)
    if made.exit_code:
        raise AssertionError(f"no key could be made: {made.output}")
    return made.stdout.strip()


@pytest.fixture(scope="module")
def taskgate_worker(taskgate: Installation) -> WorkerProcess:
    """A worker process that runs every task of the application, two at a time, as in production."""
    return taskgate.start_worker_of_all_queues("--concurrency", "2")


@pytest.fixture(scope="module")
def submit_job(taskgate: Installation, taskgate_client: FlaskClient) -> SubmitJob:
    """``submit_job("greetings.greet_all", names=["Ann"])`` over HTTP; it runs only where there is a worker."""

    def submit(task: str, /, **params: Any) -> str:
        return submit_as_clients_do(taskgate_client, taskgate.celery, PRINCIPAL, task, params)

    return submit


@pytest.fixture(scope="module")
def wait_for_job(taskgate: Installation, taskgate_worker: WorkerProcess) -> WaitForJob:
    """``wait_for_job(task_id)`` waits for its end and says what came of it."""

    def wait(task_id: str, *, timeout: float = 60) -> JobOutcome:
        alive = taskgate_worker.require_alive
        return wait_for_end(taskgate.celery, task_id, timeout=timeout, still_worked_on=alive)

    return wait


@pytest.fixture(scope="module")
def run_job(submit_job: SubmitJob, wait_for_job: WaitForJob) -> RunJob:
    """``run_job("greetings.greet_all", names=["Ann"])``: over HTTP, through Redis, in a worker process."""

    def run(task: str, /, **params: Any) -> JobOutcome:
        return wait_for_job(submit_job(task, **params))

    return run
