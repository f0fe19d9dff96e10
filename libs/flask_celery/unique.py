"""Tasks of which one job at a time may be under way: ``@job(unique="owner")``.

Who submits such a task while a job of it is under way is answered with that job. What the two have in common, the
*claim*, holds the id of the newest job under it; whether that one is still under way is read from its own record and
ledger, in the step that accepts the next one (``accept_script``). So there is no lock that could outlive its job: a
claim is held for as long as its job is not final, waiting for its time and for another try included, and not a moment
longer, however the job has ended. After that it is known for as long as the job's result, which is how an owner's
newest job of the task is found at once.

A retry and a replacement are the same job. What a stock client publishes is accepted by nobody, and takes no claim.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.errors import AlreadySubmittedError, ExpiredJobError, FlaskCeleryError, UnknownJobError

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery
    from libs.flask_celery.jobs import JobSpec
    from libs.flask_celery.records import JobRecord

#: The message header that says of what a job is to be the only one.
UNIQUE_HEADER = "taskgate_unique"


class Unique(StrEnum):
    """Among which jobs of a task one at a time is under way."""

    OWNER = "owner"  # those of one owner
    PARAMS = "params"  # those of one owner with the same params, in the same words
    TASK = "task"  # all


class AlreadyRunningError(AlreadySubmittedError):
    """A job of this unique task is under way: it is the job asked for, whatever its params are."""

    def __str__(self) -> str:
        return f"A job of this task is under way, {self.task_id!r}, and there is one at a time."


class OccupiedTaskError(FlaskCeleryError):
    """A job of this unique task is under way, and it is somebody else's."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task

    def __str__(self) -> str:
        return f"A job of {self.task} is under way for somebody else, and there is one at a time for all."


def unique_header(spec: "JobSpec | None", args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> str | None:
    """What a new job's message says in :data:`UNIQUE_HEADER`; None for what need not be the only one."""
    if spec is None or spec.unique is None:
        return None
    if spec.unique is not Unique.PARAMS:
        return spec.unique.value
    params = dict(zip(spec.argument_names, args or (), strict=False)) | dict(kwargs or {})
    return f"{spec.unique} {_digest(json.dumps(params, sort_keys=True, default=str))}"


def claim_name(header: str, task: str, owner: str) -> str:
    """The claim of an owner's job; ``header`` is what :func:`unique_header` says."""
    return _digest(f"{header}\n{task}\n{'' if header == Unique.TASK else owner}")


def remembered_job(celery_app: "FlaskCelery", spec: "JobSpec | None", owner: str) -> "JobRecord | None":
    """The owner's newest job of a task that is unique among the jobs of an owner, until its result expires.

    None when there is none, or when the task is another one. Raises: redis-py's connection errors.
    """
    if spec is None or spec.unique is not Unique.OWNER:
        return None
    backend = celery_app.backend
    task_id = backend.client.get(backend.keys.unique(claim_name(spec.unique, spec.name, owner)))
    try:
        return None if task_id is None else backend.records.get(bytes_to_str(task_id))
    except (UnknownJobError, ExpiredJobError):
        return None


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:40]
