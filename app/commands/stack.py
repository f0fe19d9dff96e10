"""The processes of one machine: what each is started with and when it counts as ready."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from flask import Flask
from redis.exceptions import RedisError

from app.jobs.queues import COLLECT, COMPUTE
from config import Config, embedded_redis_socket
from libs.flask_celery import declared_queues, queues_in_use
from libs.local_stack import ChildSpec, EmbeddedRedis, LocalStackError

_ROOT = Path(__file__).parents[2]
_CELERY = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app"]
_FLOWER = [*_CELERY, "flower"]


class RedisUnreachableError(LocalStackError):
    """REDIS_URL names a server that does not answer."""


def embedded_redis(config: Config) -> EmbeddedRedis | None:
    """The Redis to start, or None when the operator named one of their own."""
    if not config.redis_is_embedded:
        return None
    return EmbeddedRedis(config.data_dir / "redis", embedded_redis_socket(config.data_dir))


def require_redis(config: Config) -> None:
    """Raises: RedisUnreachableError, with the reason and without the URL, which may hold a password."""
    from app import create_app  # noqa: PLC0415 - the application imports these commands' siblings

    backend = create_app(config).extensions["celery"].backend
    try:
        backend.client.ping()
    except RedisError as error:
        host = backend.connparams.get("host") or backend.connparams.get("path")
        raise RedisUnreachableError(
            f"no Redis answers at REDIS_URL ({host}): {type(error).__name__}; start it, or unset REDIS_URL to have "
            "one started here"
        ) from error


def children(
    app: Flask, config: Config, redis: EmbeddedRedis | None, base_url: str, flower: Mapping[str, str] | None = None
) -> list[ChildSpec]:
    """What to start, in this order; with Flower where ``flower`` has the defaults of its environment."""
    environment = {
        **os.environ,
        # An empty FLOWER_BASIC_AUTH, which compose files pass on, is no password: "Authorization: Basic =" would do.
        **{name: value for name, value in (flower or {}).items() if not os.environ.get(name)},
        "PYTHONPATH": str(_ROOT),
        "DATA_DIR": str(config.data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    environment["LOG_FORMAT"] = config.log_format or "text"  # these logs are for somebody who sits before them
    logs = config.data_dir / "logs"
    last = [] if flower is None else [_child("flower", _FLOWER, environment, logs, _flower_listens(config), stop=10)]
    first = [] if redis is None else [redis.child_spec(logs / "redis.log", environment)]
    return [
        *first,
        _child("api", _api_command(config), environment, logs, lambda: _api_answers(base_url), stop=35),
        *(
            _child(
                worker.name,
                _worker_command(config, worker),
                environment,
                logs,
                # The others start while the sample job runs: each takes seconds of a processor.
                _worker_answers(app, worker) if worker.number == 1 else None,
                stop=_worker_stop(app),
            )
            for worker in queue_workers(app, config)
        ),
        _child("beat", _beat_command(config), environment, logs, None, stop=10),
        *last,
    ]


@dataclass(frozen=True, slots=True)
class QueueWorker:
    """A worker of this machine, and what it consumes."""

    name: str  # of its log, too
    queues: tuple[str, ...]
    concurrency: int
    number: int = 0  # of those that consume what a worker does by itself, from 1

    @property
    def hostname(self) -> str:
        """What Celery calls it."""
        usual = "taskgate" if self.number == 1 else f"taskgate-{self.number}"
        return f"{usual if self.number else self.queues[0]}@{socket.gethostname()}"


def queue_workers(app: Flask, config: Config) -> list[QueueWorker]:
    """Some for what a worker consumes by itself, one for each other queue that jobs and schedules of the code use.

    The first have ``config.worker_concurrency`` places together, and there are as many of them as there are
    processors: all that a worker's pool runs goes through its main process, and one of those takes less from Redis
    and gives it to two pool processes than two of one pool process each (docs/scaling.md).

    A queue of its own is there so that its jobs wait for nobody else's, which a worker of several queues could not
    keep: long jobs of one would take all of its processes. One process each is enough to see to that on one machine.
    """
    celery_app = app.extensions["celery"]
    usual = tuple(declared_queues(celery_app))
    others = (
        queues_in_use(celery_app) | {COLLECT, COMPUTE} | ({config.webhook_queue} if config.webhook_queue else set())
    )
    return [
        *(
            QueueWorker("worker" if number == 1 else f"worker-{number}", usual, places, number)
            for number, places in enumerate(_shared(config.worker_concurrency, os.cpu_count() or 1), start=1)
        ),
        *(QueueWorker(f"worker-{queue}", (queue,), 1) for queue in sorted(others - set(usual))),
    ]


def _shared(places: int, most: int) -> list[int]:
    """Places, as evenly as can be over so many workers at the most."""
    workers = min(places, most)
    return [places // workers + (number < places % workers) for number in range(workers)]


def _child(
    name: str,
    argv: list[str],
    environment: Mapping[str, str],
    logs: Path,
    ready: Callable[[], bool] | None,
    *,
    stop: float,
) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=argv,
        env=environment,
        ready=ready,
        ready_timeout=60.0,
        stop_timeout=stop,
        log_path=logs / f"{name}.log",
    )


def _api_command(config: Config) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "app:create_app()"),
        *("--bind", f"{config.host}:{config.port}"),
        *("--workers", str(config.api_processes)),
        *("--config", str(_ROOT / "gunicorn.conf.py")),
    ]


def _worker_command(config: Config, worker: QueueWorker) -> list[str]:
    return [
        *_CELERY,
        *("worker", "--hostname", worker.hostname, "--loglevel", config.log_level),
        *("--queues", ",".join(worker.queues), "--concurrency", str(worker.concurrency)),
    ]


def _worker_stop(app: Flask) -> float:
    """Seconds until a worker that was told to stop is killed: after its own limit, if it has one."""
    limit = float(app.extensions["celery"].conf.worker_soft_shutdown_timeout)
    return limit + 10 if limit > 0 else 60


def _beat_command(config: Config) -> list[str]:
    schedule = str(config.data_dir / "beat-schedule")
    return [*_CELERY, "beat", "--loglevel", config.log_level, "--schedule", schedule, "--pidfile", ""]


def _api_answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/healthz", timeout=1.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _flower_listens(config: Config) -> Callable[[], bool]:
    """Whatever prefix or certificate Flower's own settings give it."""
    host = "127.0.0.1" if config.flower_address in ("", "0.0.0.0") else config.flower_address  # noqa: S104

    def listens() -> bool:
        socket.create_connection((host, config.flower_port), timeout=1.0).close()
        return True

    return listens


def _worker_answers(app: Flask, worker: QueueWorker) -> Callable[[], bool]:
    """Asked over the broker, as ``celery inspect ping`` does: only then does the worker take jobs."""

    def answers() -> bool:
        control = app.extensions["celery"].control
        return bool(control.ping(destination=[worker.hostname], timeout=0.3, limit=1))

    return answers
