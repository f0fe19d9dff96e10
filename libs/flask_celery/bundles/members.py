"""What becomes of one request of a bundle in the worker's main process."""

import logging
from typing import Any

from celery.worker.state import task_ready
from redis.exceptions import RedisError

from libs.flask_celery.giving_back import NotStarted, Stage, is_given_back, reach
from libs.flask_celery.records import JobRecord

logger = logging.getLogger(__name__)


def accept(request: Any, pid: int, started: float) -> None:
    """A process has begun it, at this time of the monotonic clock."""
    try:
        request.on_accepted(pid, started)
    except NotStarted:
        logger.debug("Job %s was given back as it ran", request.id)


def give_back(request: Any) -> None:
    """To the head of its queue, for whoever is free. Callable from another thread."""
    request.bundle = None
    task_ready(request)
    if not is_given_back(request.message):
        reach(request.message, Stage.SETTLED)
        request.message.reject_log_error(logger, request.connection_errors, requeue=True)


def places_of_final(requests: dict[int, Any]) -> list[int]:
    """Of those whose end is on record; the others' runs may be over, too."""
    if not requests:
        return []
    records = next(iter(requests.values())).task.backend.records
    try:
        found = records.get_many([request.id for request in requests.values()])
    except (RedisError, OSError) as error:
        logger.debug("What has become of short jobs could not be found out: %r", error)
        return []
    is_final = [isinstance(record, JobRecord) and record.state.ready for record in found]
    return [place for place, final in zip(requests, is_final, strict=True) if final]
