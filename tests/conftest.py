"""What every test may ask for: a real Redis, the application on it, keys, real workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from flask import Flask, has_app_context
from flask.globals import app_ctx
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import URL, Engine, create_engine

from app import create_app
from app.api_keys import Scope, create_key
from app.extensions import db
from config import Config, load_config
from libs.flask_celery import testing
from libs.flask_celery.testing import ROOT, RedisServer, close_idle_connections, wait_until
from libs.flask_celery.testing import WorkerProcess as Worker
from libs.flask_celery.testing.applications import ONE_POOL_SIZE
from libs.flask_celery.testing.installation import NO_RATE_LIMITS

#: What the tests here share with those of who writes jobs, by the names that it has here.
__all__ = ["NO_RATE_LIMITS", "ROOT", "RedisServer", "Worker", "built_app", "wait_until"]


def pytest_configure() -> None:
    """A shell has its background jobs ignore Ctrl-C, nohup a hang-up; all that tests start would ignore them too."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True)
def no_context_is_left_open() -> Iterator[None]:
    """What a test leaves pushed is every later test's current application, in the same process."""
    before = _open_context()
    yield
    assert _open_context() is before, "an application context is left open: a stream not closed, a push not popped"


def _open_context() -> object | None:
    return app_ctx._get_current_object() if has_app_context() else None  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis that runs, whatever the test before did to it."""
    if redis_server.process is None or redis_server.process.poll() is not None:
        redis_server.start()
    close_idle_connections()
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The process environment of one installation: what this process and its children read."""
    for name in list(os.environ):
        if name.startswith("CELERY_"):
            monkeypatch.delenv(name)
    settings = {"REDIS_URL": redis_url, "DATA_DIR": str(tmp_path / "var"), "LOG_LEVEL": "INFO", **NO_RATE_LIMITS}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def config(environment: dict[str, str]) -> Config:
    return replace(load_config(), testing=True)


@contextmanager
def built_app(config: Config) -> Iterator[Flask]:
    """An application with its tables, closed at the end so that nothing of it is left to the garbage collector."""
    if "BROKER_POOL_LIMIT" not in config.celery:  # the setting's old name
        config = replace(config, celery={**ONE_POOL_SIZE, **config.celery})
    with testing.built_app(lambda: create_app(config)) as app:
        yield app


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    with built_app(config) as app:
        yield app


@pytest.fixture
def app_outside_testing(config: Config) -> Iterator[Flask]:
    """The same with TESTING off, as it runs in production: error handling differs."""
    with built_app(replace(config, testing=False)) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_key(app: Flask) -> Callable[..., str]:
    """``make_key("ann", Scope.READ)`` makes a key of the principal and returns it."""

    def make(principal: str = "ann", *scopes: Scope) -> str:
        with app.app_context():
            key = create_key(db.session(), principal, set(scopes) or {Scope.SUBMIT, Scope.READ, Scope.CANCEL})
            db.session.commit()
        return key

    return make


@pytest.fixture
def auth(make_key: Callable[..., str]) -> dict[str, str]:
    """Headers of a principal, ann, who may do everything but administrate."""
    return {"Authorization": f"Bearer {make_key()}"}


@pytest.fixture
def start_worker(app: Flask, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """``start_worker("--pool", "solo")`` starts a worker on this test's Redis and database and waits for it."""
    workers: list[Worker] = []

    def start(*options: str) -> Worker:
        worker = Worker(environment, tmp_path / f"worker{len(workers)}.log", *options)
        workers.append(worker)
        return worker.wait_ready()

    yield start
    for worker in workers:
        worker.stop()


def postgresql_binaries() -> Path | None:
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Engine]:
    binaries = postgresql_binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's initdb is not installed, and CI must run these tests")
        pytest.skip("PostgreSQL's initdb is not installed")
    with postgresql_server(binaries) as engine:
        yield engine


@contextmanager
def postgresql_server(binaries: Path) -> Iterator[Engine]:
    """A server of our own on a unix socket; it refuses to run as root, so root hands it to `postgres`."""
    # Not pytest's tmp_path: its parents are closed to other users, and a socket's path may have only 107
    # characters.
    folder = Path(mkdtemp(prefix="taskgate-pg-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres", "postgres")

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user, str(binaries / program), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL
        )

    try:
        run("initdb", "-D", f"{folder}/data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options, "-w", "start")
        try:
            engine = create_engine(
                URL.create("postgresql+psycopg", "tester", database="postgres", query={"host": str(folder)})
            )
            yield engine
            engine.dispose()
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
