"""Running one job, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flask import g
from flask.testing import FlaskClient

from libs.flask_celery.factory import FlaskCelery
from libs.flask_celery.history.history import LogLine
from libs.flask_celery.records import JobFailure, JobFile, JobProgress, JobRecord
from libs.flask_celery.states import JobState
from libs.flask_celery.testing.waiting import wait_until

_MOST_LINES = 100_000


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """A job that has ended."""

    record: JobRecord
    log: tuple[LogLine, ...]  # what it said to its owner with ``current_job.log``

    @property
    def task_id(self) -> str:
        """The job's id."""
        return self.record.task_id

    @property
    def state(self) -> JobState:
        """How it ended."""
        return self.record.state

    @property
    def result(self) -> Any:
        """As JSON has brought it back; None unless it succeeded."""
        return self.record.result

    @property
    def error(self) -> JobFailure | None:
        """Why it failed: the exception's type and message."""
        return self.record.failure

    @property
    def progress(self) -> JobProgress | None:
        """The last that it told."""
        return self.record.progress

    @property
    def files(self) -> tuple[JobFile, ...]:
        """What it attached."""
        return self.record.files

    @property
    def messages(self) -> list[str]:
        """The messages of its log alone."""
        return [line.message for line in self.log]


class RunJob(Protocol):
    """The fixture ``run_job``."""

    def __call__(self, task: str, /, **params: Any) -> JobOutcome:
        """Submit a job and wait for its end. Raises: AssertionError, see ``submit_job`` and ``wait_for_job``."""


class SubmitJob(Protocol):
    """The fixture ``submit_job``."""

    def __call__(self, task: str, /, **params: Any) -> str:
        """Returns: the task id. Raises: AssertionError with the answer when the job is refused."""


class WaitForJob(Protocol):
    """The fixture ``wait_for_job``."""

    def __call__(self, task_id: str, *, timeout: float = 60) -> JobOutcome:
        """Raises: AssertionError when the job has not ended in time, or its worker has ended."""


def submit_as_clients_do(client: FlaskClient, celery_app: FlaskCelery, principal: str, task: str, params: Any) -> str:
    """A task that clients are not offered is published as code of the application does, for the same principal."""
    found = celery_app.tasks.get(task)
    spec = getattr(found, "job_spec", None)
    if found is None or (spec is not None and spec.offered):
        answer = client.post(f"/api/1.0/tasks/{task}/jobs", json=params)
        body: Mapping[str, Any] = answer.get_json()
        if answer.status_code != 202:
            raise AssertionError(f"{task} was refused with {answer.status_code}: {body}")
        return str(body["task_id"])
    with celery_app.flask_app.app_context():
        g.principal = principal
        return str(found.apply_async(kwargs=params).id)


def wait_for_end(
    celery_app: FlaskCelery, task_id: str, *, timeout: float, still_worked_on: Callable[[], None]
) -> JobOutcome:
    """Args: still_worked_on: raises when nobody will ever run the job."""
    backend = celery_app.backend

    def has_ended() -> bool:
        still_worked_on()
        return bool(backend.records.get(task_id).state.ready)

    wait_until(has_ended, timeout=timeout, what=f"the end of job {task_id}")
    return JobOutcome(backend.records.get(task_id), backend.history.log(task_id, after=0, limit=_MOST_LINES).lines)
