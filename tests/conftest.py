"""What every test may ask for: a real Redis, the application on it, keys, real workers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from celery import Celery
from flask import Flask
from flask.testing import FlaskClient
from kombu import Connection, pools
from redis import Redis
from sqlalchemy import URL, Engine, create_engine

from app import create_app
from app.api_keys import Scope, create_key
from app.extensions import db
from config import Config, load_config
from libs.local_stack import find_redis_server

ROOT = Path(__file__).parents[1]

#: Tests make more requests than any client; those that are about the limits set them.
NO_RATE_LIMITS = {"RATE_LIMIT_KEY": "0", "RATE_LIMIT_SUBMIT": "0", "RATE_LIMIT_ADDRESS": "0"}


def wait_until(condition: Callable[[], object], *, timeout: float = 30.0, what: str = "the condition") -> None:
    """Poll until ``condition()`` is true. Raises: AssertionError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout:g} s"
        time.sleep(0.02)


class RedisServer:
    """A real Redis of this test process, on a port of its own, that tests may stop, freeze and start again."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="taskgate-redis-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.socket_url = f"redis+socket://{self.folder}/redis.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.is_new = False  # to this process, which may have connections to the one before

    def start(self) -> None:
        self.is_new = True
        # Redis hands each write to the system before it answers, so a test that kills it counts on what was answered.
        # Syncing is for power cuts, which no test has, and a disk that many tests share holds it up for seconds.
        files = {"dir": self.folder, "appendonly": "yes", "appendfsync": "no", "save": ""}
        options = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.folder / "redis.sock", **files}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([str(find_redis_server()), *words], stdout=log, stderr=log)
        wait_until(self.answers, what="Redis")

    def answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis."):
                return False
            raise

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(20)
            self.process = None


def close_idle_connections() -> None:
    """Of kombu's pools, which outlive a test: a server that an earlier one has killed had the other end of theirs."""
    for pool in list(pools.connections.values()):
        for connection in [each for each in pool._resource.queue if isinstance(each, Connection)]:
            connection.collect()  # it connects anew when it is used


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop(kill=True)
    shutil.rmtree(server.folder)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis that runs, whatever the test before did to it."""
    if redis_server.process is None or redis_server.process.poll() is not None:
        redis_server.start()
    if redis_server.is_new:
        close_idle_connections()
        redis_server.is_new = False
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
    # kombu's pools are one for the process and cannot shrink while a connection is out, which that of another test's
    # application may be. So those of both roles are of one size here, as they would be in processes of their own.
    if "BROKER_POOL_LIMIT" not in config.celery:  # the setting's old name
        config = replace(config, celery={"CELERY_BROKER_POOL_LIMIT": "64", **config.celery})
    app = create_app(config)
    with app.app_context():
        db.create_all()
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()
        app.extensions["job_watch"].close()
        app.extensions["rate_limits"].close()
        celery_app: Celery = app.extensions["celery"]
        celery_app.backend.client.close()
        celery_app.close()


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


class Worker:
    """A real ``celery worker`` process, started as an operator starts it."""

    def __init__(
        self,
        environment: dict[str, str],
        log_path: Path,
        *options: str,
        application: str = "libs.flask_celery:celery_app",
    ) -> None:
        self.log_path = log_path
        self.name = f"w{time.monotonic_ns()}@test"
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", application, "worker"),
                    *("--hostname", self.name, "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
                    *options,
                ],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> Worker:
        wait_until(self._ready_or_dead, timeout=60, what=f"worker {self.name}")
        return self

    def _ready_or_dead(self) -> bool:
        assert self.process.poll() is None, f"the worker ended:\n{self.log}"
        return f"{self.name} ready" in self.log

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


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
