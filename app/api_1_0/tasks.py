"""What can be submitted, and submitting it."""

from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Request, Response, current_app, g, request
from flask_restful import Resource

from app.api_1_0.accepted import accepted, where_it_is
from app.api_1_0.idempotency import read_idempotency_key
from app.api_1_0.json_body import read_json_object
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.polling import Representation, held
from app.api_1_0.prefer import preferred_wait
from app.api_1_0.queries import SubmitQuery
from app.api_1_0.representing import represent
from app.api_1_0.schemas import ResultSchema, SubmittedSchema, TaskListSchema, TaskSchema
from app.api_1_0.webhooks import tell_of_ends
from app.api_1_0.wishes import read_wishes
from app.api_keys import Principal, Scope
from libs.flask_celery import (
    UNAVAILABLE,
    ExpiredJobError,
    UnknownJobError,
    describe,
    job_spec,
    job_specs,
    submit,
)


class TaskList(Resource):  # type: ignore[misc]
    """``tasks``"""

    @operation(Operation("List the tasks that can be submitted", Scope.READ, {200: TaskListSchema}))
    def get(self, _: Principal) -> Any:
        """Every task, by name."""
        celery_app = current_app.extensions["celery"]
        return {"tasks": [describe(celery_app, spec) for spec in job_specs(celery_app).values()]}, HTTPStatus.OK


class Task(Resource):  # type: ignore[misc]
    """``tasks/{task}``"""

    @operation(Operation("Describe one task", Scope.READ, {200: TaskSchema}, errors=(404,)))
    def get(self, _: Principal, task: str) -> Any:
        """Its description and the schema of its params."""
        celery_app = current_app.extensions["celery"]
        return describe(celery_app, job_spec(celery_app, task)), HTTPStatus.OK


class TaskJobs(Resource):  # type: ignore[misc]
    """``tasks/{task}/jobs``"""

    @operation(
        Operation(
            "Submit a job",
            Scope.SUBMIT,
            {200: ResultSchema, 202: SubmittedSchema},
            errors=(400, 404, 409, 410, 413, 415, 422, 429, 503),
            query=SubmitQuery,
            headers={
                200: (
                    *("Location", "Preference-Applied", "Idempotent-Replayed", "Already-Running"),
                    "Content-Language",
                ),
                202: ("Location", "Retry-After", "Idempotent-Replayed", "Already-Running"),
            },
            request_headers=("Idempotency-Key", "Prefer", "Cancel-After", "Accept-Language"),
            description="Of a task that is `unique`, the job that is under way already is the answer, with "
            "`Already-Running`; 409 when it is somebody else's.",
        )
    )
    def post(self, principal: Principal, task: str, query: dict[str, Any]) -> Any:
        """Stored when this answers 202; poll ``Location`` for its result. 200 when it has ended while one waited."""
        celery_app = current_app.extensions["celery"]
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # each use looks it up anew
        spec = job_spec(celery_app, task)  # an unknown task is a 404 whatever the body is
        wishes = read_wishes(asked, query, lambda: describe(celery_app, spec))
        options = wishes.publish_options()
        tell_of_ends(principal, query.get("webhook"))
        submitted = submit(
            celery_app,
            task,
            read_json_object(asked),
            idempotency_key=read_idempotency_key(asked),
            content=wishes.content(),
            cancel_after=wishes.cancel_after,
            **options,
        )
        g.task_id = submitted.task_id  # for the access log
        wait = preferred_wait(asked)
        ended = _ended_within(wait, principal, submitted.task_id) if wait else None
        if ended is not None:
            headers = where_it_is(submitted) | {"Preference-Applied": f"wait={wait}"}
            return Response(ended.body, content_type="application/json", headers=headers)
        return accepted(submitted, principal.name, starts=options.get("eta"))


def _shown(principal: Principal, task_id: str) -> Representation:
    return represent(principal, own_record(principal, task_id))


def _ended_within(seconds: float, principal: Principal, task_id: str) -> Representation | None:
    """The job once it is final; None when it is not in time, or when the caller may submit jobs and not read them."""
    if not principal.may(Scope.READ):
        return None
    try:
        # Nothing is known of it but that it has been accepted; it is read once it is listened to.
        accepted_only = Representation(body=b"{}", unfinished=(task_id,), settled=0)
        read = partial(_shown, principal, task_id)
        now = held(read, seconds, first=accepted_only)
    except (UnknownJobError, ExpiredJobError, *UNAVAILABLE):
        return None  # the job has been accepted, whatever became of it or of Redis meanwhile
    return None if now.unfinished else now
