"""The workers that are up, as they say themselves: asked over the broker, as ``celery inspect stats`` asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


#: Pools by the names of their modules, where ``-P`` has another one.
_POOLS = {"thread": "threads"}


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Of one worker. A stock Celery's worker answers as well."""

    name: str
    queues: tuple[str, ...]  # by their logical names
    pool: str  # prefork, threads, gevent, …
    concurrency: int  # jobs that it runs at a time
    uptime: int  # seconds
    taken: int  # jobs that it has taken since it is up


def read_workers(celery_app: "FlaskCelery", *, timeout: float) -> list[WorkerFigures]:
    """All that answer, by name. Nobody knows how many there are, so it takes twice ``timeout`` seconds.

    Raises: kombu's connection errors.
    """
    asked = celery_app.control.inspect(timeout=timeout)
    queues: Mapping[str, Any] = asked.active_queues() or {}
    stats: Mapping[str, Any] = asked.stats() or {}
    return [_of(celery_app, name, stats[name], queues.get(name) or []) for name in sorted(stats)]


def _of(
    celery_app: "FlaskCelery", name: str, stats: Mapping[str, Any], queues: list[Mapping[str, Any]]
) -> WorkerFigures:
    pool = stats.get("pool") or {}
    implementation = str(pool.get("implementation", "")).partition(":")[0].rpartition(".")[2]
    named = sorted({celery_app.queue_names.logical(str(queue["name"])) for queue in queues})
    return WorkerFigures(
        name=name,
        queues=tuple(named),
        pool=_POOLS.get(implementation, implementation),
        concurrency=int(pool.get("max-concurrency") or 1),
        uptime=int(stats.get("uptime") or 0),
        taken=sum((stats.get("total") or {}).values()),
    )
