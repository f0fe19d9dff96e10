"""The workers that are up: by the signs that they give of themselves and, where that is wanted, by being asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from libs.flask_celery.figures.worker_signs import SEEN, SIGNS, WorkerSign, pool_named, read_signs

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Of one worker."""

    name: str
    queues: tuple[str, ...]  # by their logical names
    pool: str  # prefork, threads, gevent, …
    concurrency: int  # jobs that it runs at a time
    uptime: int  # seconds
    taken: int  # jobs that it has taken since it is up
    running: int | None  # jobs that it runs; None of one that gives no signs
    last_sign: float | None  # seconds ago; None of one that gives none and was asked, such as a stock Celery's


def read_workers(celery_app: "FlaskCelery", *, patience: float | None = None) -> list[WorkerFigures]:
    """Those that have given a sign lately, by name: one round trip.

    With ``patience`` all are asked over the broker too, as ``celery inspect stats`` asks, and those that answer and
    give no signs are among them. Nobody knows how many there are, so that takes twice as many seconds.

    Raises: redis-py's and kombu's connection errors.
    """
    backend = celery_app.backend
    with backend.client.pipeline(transaction=False) as pipe:
        pipe.hgetall(f"{backend.keys.prefix}{SIGNS}")
        pipe.zrange(f"{backend.keys.prefix}{SEEN}", 0, -1, withscores=True)
        pipe.time()
        signs, seen, (now, _) = pipe.execute()
    found = {name: _signed(name, sign) for name, sign in read_signs(signs, dict(seen), now).items()}
    if patience is not None:
        found = _answering(celery_app, patience) | found
    return [found[name] for name in sorted(found)]


def _signed(name: str, sign: WorkerSign) -> WorkerFigures:
    return WorkerFigures(
        name=name,
        queues=sign.queues,
        pool=sign.pool,
        concurrency=sign.slots,
        uptime=round(sign.uptime + sign.age),
        taken=sign.taken,
        running=sign.running,
        last_sign=sign.age,
    )


def _answering(celery_app: "FlaskCelery", patience: float) -> dict[str, WorkerFigures]:
    asked = celery_app.control.inspect(timeout=patience)
    queues: Mapping[str, Any] = asked.active_queues() or {}
    stats: Mapping[str, Any] = asked.stats() or {}
    return {name: _answered(celery_app, name, stats[name], queues.get(name) or []) for name in stats}


def _answered(
    celery_app: "FlaskCelery", name: str, stats: Mapping[str, Any], queues: list[Mapping[str, Any]]
) -> WorkerFigures:
    pool = stats.get("pool") or {}
    return WorkerFigures(
        name=name,
        queues=tuple(sorted({celery_app.queue_names.logical(str(queue["name"])) for queue in queues})),
        pool=pool_named(str(pool.get("implementation", "")).partition(":")[0]),
        concurrency=int(pool.get("max-concurrency") or 1),
        uptime=int(stats.get("uptime") or 0),
        taken=sum((stats.get("total") or {}).values()),
        running=None,
        last_sign=None,
    )
