"""Dead letters: one's own failed jobs, to look at, to run again and to put aside; for an admin everybody's."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import current_app, request
from flask_restful import Resource

from app.api_1_0.cursors import read_cursor, write_cursor
from app.api_1_0.job_actions import run_job_again
from app.api_1_0.json_body import load_body
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_records, owner_asked_for
from app.api_1_0.queries import DeadLetterQuery
from app.api_1_0.schemas import (
    DeadLetterChoiceSchema,
    DeadLetterPageSchema,
    DroppedListSchema,
    DroppedSchema,
    RetriedListSchema,
    RetriedSchema,
)
from app.api_1_0.schemas.dead_letters import MOST_AT_ONCE
from app.api_keys import Principal, Scope
from app.errors import as_problem
from app.problem import ProblemError, problem_fields
from libs.flask_celery import (
    DeadLetter,
    DeadLetters,
    ExpiredJobError,
    FlaskCeleryError,
    JobRecord,
    JobState,
    UnknownJobError,
    Wanted,
)

#: Failed jobs looked at for one page, of the 100,000 that are kept.
_MOST_SCANNED = 5_000

_ERRORS = (400, 413, 415, 422, 503)
_HOW_TO_CHOOSE = (
    f"Up to {MOST_AT_ONCE:,} by their `task_ids`, or the newest that `task` and `since` find, going on with `next` "
    "as `cursor`. What cannot be done with one is a problem in its place."
)


class DeadLetterList(Resource):  # type: ignore[misc]
    """``dead-letters``"""

    @operation(
        Operation(
            "List failed jobs that nobody has run again or dropped",
            Scope.READ,
            {200: DeadLetterPageSchema},
            errors=(503,),
            query=DeadLetterQuery,
            description="The newest failure first. An admin sees everybody's. They are listed for a week longer than "
            "their results are kept.",
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        letters, following = _find(principal, query)
        return {"dead_letters": letters, "next": following}, HTTPStatus.OK


class DeadLetterRetry(Resource):  # type: ignore[misc]
    """``dead-letters/retry``"""

    @operation(
        Operation(
            "Run failed jobs again",
            Scope.SUBMIT,
            {200: RetriedListSchema},
            errors=_ERRORS,
            also_needs=Scope.READ,
            body=DeadLetterChoiceSchema,
            description=f"{_HOW_TO_CHOOSE} Each is run again once: said again, it is the same new job, for a day.",
        )
    )
    def post(self, principal: Principal) -> Any:
        """An outcome for each, each a new job of the old one's owner."""
        celery_app = current_app.extensions["celery"]

        def run_again(job: _OwnJob) -> Any:
            if job.state is not JobState.FAILURE:
                raise ProblemError(
                    HTTPStatus.CONFLICT, f"The job has not failed, it is {job.state}. POST its links.retry instead."
                )
            retried = run_job_again(job.task_id, celery_app.terms, once=True)
            return RetriedSchema().dump({"task_id": job.task_id, "retried_as": retried.task_id})

        return _with_each(principal, run_again), HTTPStatus.OK


class DeadLetterDrop(Resource):  # type: ignore[misc]
    """``dead-letters/drop``"""

    @operation(
        Operation(
            "Take failed jobs off the list",
            Scope.CANCEL,
            {200: DroppedListSchema},
            errors=_ERRORS,
            also_needs=Scope.READ,
            body=DeadLetterChoiceSchema,
            description=f"{_HOW_TO_CHOOSE} The jobs keep their state and their error.",
        )
    )
    def post(self, principal: Principal) -> Any:
        """An outcome for each."""
        return _with_each(principal, _drop), HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class _OwnJob:
    """A job that the principal may act on, its result expired or not."""

    task_id: str
    state: JobState


def _own(found: JobRecord | UnknownJobError | ExpiredJobError) -> _OwnJob:
    """Raises: UnknownJobError."""
    if isinstance(found, JobRecord):
        return _OwnJob(found.task_id, found.state)
    if isinstance(found, UnknownJobError):
        raise found
    return _OwnJob(found.task_id, current_app.extensions["celery"].backend.state_of(found.task_id))


def _drop(job: _OwnJob) -> Any:
    if not DeadLetters(current_app.extensions["celery"]).drop_job(job.task_id):
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "This job is not among the dead letters; GET dead-letters lists them."
        )
    return DroppedSchema().dump({"task_id": job.task_id, "dropped": True})


def _with_each(principal: Principal, act: Callable[[_OwnJob], Any]) -> dict[str, Any]:
    """Raises: redis-py's connection errors, having done a part; what was done is not done again."""
    choice = load_body(DeadLetterChoiceSchema, request)
    following = None
    ids = choice.get("task_ids")
    if ids is None:
        letters, following = _find(principal, {"limit": MOST_AT_ONCE, **choice})
        ids = [letter.id for letter in letters]
    ids = list(dict.fromkeys(ids))
    outcomes = []
    for task_id, found in zip(ids, own_records(principal, ids) if ids else [], strict=True):
        try:
            outcomes.append(act(_own(found)))
        except (FlaskCeleryError, ProblemError) as error:
            outcomes.append({"task_id": task_id, **problem_fields(as_problem(error))})
    return {"outcomes": outcomes, "next": following}


def _find(principal: Principal, query: dict[str, Any]) -> tuple[list[DeadLetter], str | None]:
    """A page of the dead letters that the principal may see, and the cursor of the next one."""
    is_admin = Scope.ADMIN in principal.scopes
    owner = owner_asked_for(principal, query) or (None if is_admin else principal.name)
    since = query["since"].timestamp() * 1000 if "since" in query else None
    letters, following = DeadLetters(current_app.extensions["celery"]).page(
        Wanted(task=query.get("task"), owner=owner, since=since),
        after=read_cursor(query.get("cursor")),
        limit=query["limit"],
        most_scanned=_MOST_SCANNED,
    )
    return letters, write_cursor(following)
