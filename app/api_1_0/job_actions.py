"""What can be done with a job by POST: cancelling it, and running it again."""

from http import HTTPStatus
from typing import Any

from flask import current_app, request
from flask_restful import Resource

from app.api_1_0.accepted import accepted
from app.api_1_0.idempotency import read_idempotency_key
from app.api_1_0.json_body import load_body
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.queries import CancelQuery
from app.api_1_0.schemas import EmptySchema, ResultSchema, SubmittedSchema
from app.api_1_0.zones import ZoneQuery
from app.api_keys import Principal, Scope
from app.problem import ProblemError
from libs.flask_celery import SubmissionTerms, SubmittedJob, UnknownTaskError, run_again, with_key


class JobCancel(Resource):  # type: ignore[misc]
    """``jobs/{task_id}/cancel``"""

    @operation(
        Operation(
            "Cancel a job",
            Scope.CANCEL,
            {202: ResultSchema},
            errors=(400, 404, 409, 410, 413, 415, 422, 503),
            query=CancelQuery,
            job_token=True,
            body=EmptySchema,
            body_required=False,
            description="For clients that cannot send DELETE, which does the same.",
        )
    )
    def post(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Any:
        """At once while it waits; a running job is asked, and stops at its next progress call."""
        load_body(EmptySchema, request, required=False)
        own_record(principal, task_id)
        records = current_app.extensions["celery"].backend.records
        records.cancel(task_id, terminate=query["terminate"])
        return records.get(task_id), HTTPStatus.ACCEPTED


class JobRetry(Resource):  # type: ignore[misc]
    """``jobs/{task_id}/retry``"""

    @operation(
        Operation(
            "Run a job again that has ended",
            Scope.SUBMIT,
            {202: SubmittedSchema},
            errors=(400, 404, 409, 410, 413, 415, 422, 429, 503),
            query=ZoneQuery,
            headers={202: ("Location", "Retry-After", "Idempotent-Replayed", "Already-Running")},
            request_headers=("Idempotency-Key",),
            also_needs=Scope.READ,
            body=EmptySchema,
            body_required=False,
            description="A new job of the same owner, with the params, the queue, the priority and the Cancel-After "
            "of the old one. It starts at once and does not expire.",
        )
    )
    def post(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Any:
        """Stored when this answers 202, as a submission; its ``retry_of`` names the old one."""
        load_body(EmptySchema, request, required=False)
        celery_app = current_app.extensions["celery"]
        record = own_record(principal, task_id)
        key = read_idempotency_key(request)
        terms = with_key(celery_app.terms, principal.name, key, ["retry", task_id])
        return accepted(run_job_again(task_id, terms), record.owner)


def run_job_again(task_id: str, terms: SubmissionTerms, *, once: bool = False) -> SubmittedJob:
    """Run a job again whose task clients may submit.

    Raises: ProblemError for another task, which the job's owner has not submitted over HTTP either; as ``run_again``.
    """
    try:
        return run_again(current_app.extensions["celery"], task_id, terms=terms, once=once, declared=True)
    except UnknownTaskError as error:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "This job's task cannot be submitted over HTTP. Run the job again that has published it.",
        ) from error
