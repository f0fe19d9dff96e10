"""Those who run jobs: whether there are workers, whether each queue has one, whether a beat leads."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

from app.doctor.finding import Findings, ok, problem, warning
from config import Config
from libs.flask_celery import UNAVAILABLE, Figures, declared_queues, queues_in_use, read_figures

#: Seconds that workers have for answering.
_PATIENCE = 2.0

#: Seconds that the next job of a queue may have been waiting before it is worth a word.
_LONG = 300.0


def check_workers(app: Flask) -> Findings:
    """By what workers themselves say, over the broker."""
    celery_app = app.extensions["celery"]
    try:
        consumed = celery_app.control.inspect(timeout=_PATIENCE).active_queues() or {}
        figures = read_figures(celery_app)
    except UNAVAILABLE:
        return  # it is told of Redis
    if consumed:
        yield ok("workers", f"Workers that answer: {', '.join(sorted(consumed))}.")
    else:
        yield problem(
            "workers",
            f"No worker answered within {_PATIENCE:g} s.",
            "Start one: celery -A libs.flask_celery:celery_app worker, or manage.py up.",
        )
    yield from _queues(app, _logical(celery_app, consumed), figures)
    if figures.failed:
        yield warning(
            "jobs", f"{figures.failed} jobs have failed for good.", "Look at them: manage.py jobs dead --direct list."
        )
    if figures.broker is not None and figures.broker.quarantined:
        yield problem(
            "jobs",
            f"{figures.broker.quarantined} jobs wait for a worker that knows their task.",
            "See manage.py jobs quarantine list, and start workers with that code.",
        )


def check_beat(app: Flask) -> Findings:
    """Whether there is one that leads, when there is anything for it to do."""
    celery_app = app.extensions["celery"]
    try:
        leads = celery_app.backend.client.exists(celery_app.redbeat_conf.lock_key)
        schedules = celery_app.backend.client.zcard(celery_app.redbeat_conf.schedule_key)
    except UNAVAILABLE:
        return
    if leads:
        yield ok("beat", "A beat leads.")
    elif schedules or celery_app.conf.beat_schedule:
        yield problem(
            "beat",
            "No beat leads: no schedule runs.",
            "Start one: celery -A libs.flask_celery:celery_app beat.",
        )


def _queues(app: Flask, consumed: set[str], figures: Figures) -> Findings:
    celery_app, config = app.extensions["celery"], app.config["TASKGATE"]
    waiting = {} if figures.broker is None else figures.broker.queues
    for queue in sorted(_wanted(celery_app, config) | {name for name, told in waiting.items() if told.waiting}):
        told = waiting.get(queue)
        count = told.waiting if told else 0
        if queue not in consumed:
            yield problem(
                "queues",
                f"Nobody consumes the queue {queue}; {count} jobs wait in it.",
                f"Start a worker with -Q {queue}.",
            )
        elif told is not None and (told.oldest or 0.0) > _LONG:
            yield warning(
                "queues",
                f"The next job of the queue {queue} has been waiting for {told.oldest:.0f} s, with {count} in all.",
                f"Start more workers with -Q {queue}, or raise their --concurrency.",
            )
        else:
            yield ok("queues", f"The queue {queue} is consumed; {count} jobs wait in it.")


def _wanted(celery_app: Any, config: Config) -> set[str]:
    """Queues to which jobs may come."""
    own = {config.webhook_queue} if config.webhook_queue else set()
    return set(declared_queues(celery_app)) | queues_in_use(celery_app) | own


def _logical(celery_app: Any, consumed: Mapping[str, Any]) -> set[str]:
    return {celery_app.queue_names.logical(queue["name"]) for queues in consumed.values() for queue in queues}
