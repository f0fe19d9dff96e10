"""The installation that is attacked: every service of the product as an operator starts it, each supervised."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import httpx
from redis import Redis
from redis.exceptions import RedisError

from app.jobs.queues import COLLECT, COMPUTE
from config import BROKER_DATABASE, RESULT_DATABASE
from libs.local_stack import find_redis_server
from tests.chaos import effects
from tests.chaos.journal import JOURNAL
from tests.chaos.plan import VISIBILITY_TIMEOUT, Target
from tests.chaos.service import Service
from tests.chaos.switches import WITHOUT, environment_without
from tests.conftest import NO_RATE_LIMITS, ROOT, postgresql_binaries, postgresql_server

PRINCIPAL = "chaos"
MODULES = "tests.chaos.chaos_jobs,tests.chaos.switches"
BEAT_INTERVAL = 1.0


@dataclass
class AttackedInstallation:
    folder: Path
    redis_port: int
    base_url: str
    database_url: str
    environment: dict[str, str]
    services: dict[Target, Service]
    headers: dict[str, str]

    @property
    def journal(self) -> Path:
        return Path(self.environment[JOURNAL])

    @property
    def redis_folder(self) -> Path:
        return self.folder / "redis"

    def redis(self, database: int) -> Redis[bytes]:
        return Redis(port=self.redis_port, db=database, socket_timeout=30)

    def results(self) -> Redis[bytes]:
        return self.redis(RESULT_DATABASE)

    def broker(self) -> Redis[bytes]:
        return self.redis(BROKER_DATABASE)


@contextmanager
def attacked_installation(without: frozenset[str], *, keep: bool = False) -> Iterator[AttackedInstallation]:
    """Everything started and ready; stopped at the end, and removed but for what ``keep`` wants to look at.

    ``without`` names cures to switch off.
    """
    with ExitStack() as stack:
        folder = Path(mkdtemp(prefix="taskgate-chaos-"))
        if keep:
            print(f"Everything is kept in {folder}.", flush=True)
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database_url = stack.enter_context(_database(folder))
        redis_port, api_port = _free_port(), _free_port()
        environment = _environment(folder, redis_port, database_url, without)
        headers = _prepare(environment, database_url)
        services = _services(folder, redis_port, api_port, environment)
        stack.callback(_stop, services)
        _start([services[Target.REDIS]])  # what finds none at its start has nothing to do yet
        _start([service for service in services.values() if service.name != Target.REDIS])
        base_url = f"http://127.0.0.1:{api_port}"
        yield AttackedInstallation(folder, redis_port, base_url, database_url, environment, services, headers)


def _start(services: list[Service]) -> None:
    for service in services:
        service.start()
    for service in services:
        assert service.wait_ready(), f"{service.name} did not start:\n{service.log_path.read_text()[-3000:]}"


def _stop(services: dict[Target, Service]) -> None:
    """Redis last: a worker ends the sooner the less it has to try again."""
    others = [service for service in services.values() if service.name != Target.REDIS]
    with ThreadPoolExecutor(len(others)) as executor:
        list(executor.map(Service.stop, others))
    services[Target.REDIS].stop()


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    binaries = postgresql_binaries()
    if binaries is None:
        yield f"sqlite:///{folder / 'taskgate.db'}"
        return
    with postgresql_server(binaries) as engine:
        yield engine.url.render_as_string(hide_password=False)


def _environment(folder: Path, redis_port: int, database_url: str, without: frozenset[str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    transport_options = {"visibility_timeout": VISIBILITY_TIMEOUT, "unacked_restore_interval": 0.5}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "DATABASE_URL": database_url,
        "DATA_DIR": str(folder / "var"),
        "CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(transport_options),
        "CELERY_IMPORTS": MODULES,
        "CELERY_BEAT_SCHEDULE": json.dumps({"tick": {"task": "chaos.tick", "schedule": BEAT_INTERVAL}}),
        JOURNAL: str(folder / "journal"),
        WITHOUT: ",".join(sorted(without)),
        **environment_without(without),
        **NO_RATE_LIMITS,
    }


def _prepare(environment: dict[str, str], database_url: str) -> dict[str, str]:
    """Make the tables and a key, as the manual says. Returns: the clients' headers."""

    def manage(*words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    manage("db", "upgrade")
    scopes = [word for scope in ("submit", "read", "cancel") for word in ("--scope", scope)]
    key = manage("keys", "create", PRINCIPAL, *scopes).split()[-1]
    effects.make_table(database_url)
    return {"Authorization": f"Bearer {key}"}


def _services(folder: Path, redis_port: int, api_port: int, environment: dict[str, str]) -> dict[Target, Service]:
    celery = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app"]
    queues = f"default,{COLLECT},{COMPUTE}"  # those of the schedules in code, too
    worker = [*celery, "worker", "--queues", queues, "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    (folder / "redis").mkdir()
    redis_options = {
        "port": redis_port,
        "bind": "127.0.0.1",
        "dir": folder / "redis",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        # Never rewritten, so that it tells at the end everything that has happened.
        "auto-aof-rewrite-percentage": 0,
    }
    redis = [str(find_redis_server())]
    redis += [word for name, value in redis_options.items() for word in (f"--{name}", str(value))]
    api = [sys.executable, "-m", "gunicorn", "tests.chaos.api:create_chaos_app()"]
    api += ["--bind", f"127.0.0.1:{api_port}", "--workers", "2", "--graceful-timeout", "5"]
    schedule = ["--schedule", str(folder / "beat-schedule"), "--pidfile", ""]

    def service(target: Target, command: list[str], ready: object, *, sweeps: bool = True) -> Service:
        log_path = folder / f"{target}.log"
        return Service(target.value, command, environment, log_path, ready=ready, sweeps=sweeps)  # type: ignore[arg-type]

    def says(words: str) -> object:
        return lambda log: words in log

    prefork = [*worker, "--hostname", "prefork@chaos", "--pool", "prefork", "--concurrency", "2"]
    threads = [*worker, "--hostname", "threads@chaos", "--pool", "threads", "--concurrency", "4"]
    return {
        Target.REDIS: service(Target.REDIS, redis, lambda _: _redis_answers(redis_port)),
        Target.API: service(Target.API, api, lambda _: _api_answers(api_port)),
        Target.PREFORK: service(Target.PREFORK, prefork, says("prefork@chaos ready")),
        Target.THREADS: service(Target.THREADS, threads, says("threads@chaos ready")),
        Target.BEAT: service(Target.BEAT, [*celery, "beat", "--loglevel", "INFO", *schedule], says("Starting...")),
    }


def _redis_answers(port: int) -> bool:
    try:
        with Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _api_answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
