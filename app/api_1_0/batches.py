"""Many jobs in one submission: submitting, following, cancelling them together."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, json, request
from flask_restful import Resource

from app.api_1_0.batch_body import read_batch
from app.api_1_0.batch_items import describe, outcome_fields
from app.api_1_0.batch_representing import own_batch, represent_batch
from app.api_1_0.idempotency import read_idempotency_key
from app.api_1_0.links import batch_url
from app.api_1_0.operation import Operation, operation
from app.api_1_0.polling import held, poll_response
from app.api_1_0.queries import BatchPageQuery, BatchQuery, BatchSubmitQuery, CancelQuery
from app.api_1_0.schemas import BatchPageSchema, BatchSchema, BatchWithJobsSchema, SubmittedBatchSchema
from app.api_1_0.schemas.batches import submitted_head
from app.api_1_0.webhooks import tell_of_ends
from app.api_keys import Principal, Scope
from app.problem import RETRY_AFTER, RETRY_AFTER_FULL, ProblemError
from libs.flask_celery import (
    BatchItem,
    BatchRecord,
    EmptyBatchError,
    InterruptedBatchError,
    Outcome,
    OwnerLimitError,
    QueueFullError,
    RefusedItem,
    SubmittedBatch,
    Turns,
    submit_many,
)

#: Seconds after which a batch just submitted is worth asking for.
_FIRST_LOOK = 2

#: Outcomes that are written between two turns of others.
_WRITTEN_TOGETHER = 500

_CANCEL = Operation(
    "Cancel all jobs of a batch that have not ended",
    Scope.CANCEL,
    {202: BatchSchema},
    errors=(404, 409, 410, 503),
    query=CancelQuery,
    description="Its `then` does not run either. Repeat it when it was answered 503.",
)


class BatchList(Resource):  # type: ignore[misc]
    """``batches``"""

    @operation(
        Operation(
            "List your batches, newest first", Scope.READ, {200: BatchPageSchema}, errors=(503,), query=BatchPageQuery
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        batches = current_app.extensions["celery"].backend.batches
        before = None
        if "cursor" in query:
            submitted, _, batch_id = query["cursor"].partition("-")
            before = (int(submitted), batch_id)
        page: list[BatchRecord] = []
        for submitted, batch in batches.newest(principal.name, before=before):
            page.append(batch)
            if len(page) == query["limit"]:
                return {"batches": page, "next": f"{submitted}-{batch.batch_id}"}, HTTPStatus.OK
        return {"batches": page, "next": None}, HTTPStatus.OK

    @operation(
        Operation(
            "Submit many jobs",
            Scope.SUBMIT,
            {202: SubmittedBatchSchema},
            errors=(400, 409, 410, 413, 415, 422, 429, 503),
            query=BatchSubmitQuery,
            headers={202: ("Location", "Retry-After", "Idempotent-Replayed")},
            request_headers=("Idempotency-Key",),
            description="Each job is accepted or refused by itself, and has an outcome in the order sent.",
        )
    )
    def post(self, principal: Principal, query: dict[str, Any]) -> Any:
        """What is accepted is stored when this answers 202. When nothing is, nothing was stored."""
        key = read_idempotency_key(request)
        body = read_batch(request)
        webhook = query.get("webhook")
        tell_of_ends(principal, webhook)
        try:
            batch = submit_many(
                current_app.extensions["celery"],
                body.items if webhook is None else [_told(item, webhook) for item in body.items],
                then=body.then,
                idempotency_key=key,
                content=webhook,
                describe=describe,
            )
        except EmptyBatchError as error:
            raise _nothing_accepted(error) from error
        except InterruptedBatchError as error:
            raise _interrupted(error, with_key=key is not None) from error
        headers = {"Location": batch_url(batch.batch_id), "Retry-After": str(_FIRST_LOOK)}
        if batch.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(_written(batch), status=HTTPStatus.ACCEPTED, content_type="application/json", headers=headers)


class Batch(Resource):  # type: ignore[misc]
    """``batches/{batch_id}``"""

    @operation(
        Operation(
            "Get how far a batch is, and its jobs",
            Scope.READ,
            {200: BatchWithJobsSchema, 304: None},
            errors=(404, 410, 503),
            query=BatchQuery,
            headers={200: ("ETag", "Retry-After"), 304: ("ETag", "Retry-After")},
            request_headers=("If-None-Match",),
            description="With `wait` the answer is held until the batch is `ready` and its `then` is submitted, or "
            "with `If-None-Match` until it is another one; what is not the end is noticed within half a second.",
        )
    )
    def get(self, principal: Principal, batch_id: str, query: dict[str, Any]) -> Response:
        """Its jobs by state, and a page of them."""
        return poll_response(held(lambda: represent_batch(principal, batch_id, query), query["wait"]))

    @operation(_CANCEL)
    def delete(self, principal: Principal, batch_id: str, query: dict[str, Any]) -> Any:
        """At once what waits; what runs is asked to stop, as with ``DELETE jobs/{task_id}``."""
        return _cancelled(principal, batch_id, terminate=query["terminate"])


class BatchCancel(Resource):  # type: ignore[misc]
    """``batches/{batch_id}/cancel``"""

    @operation(_CANCEL)
    def post(self, principal: Principal, batch_id: str, query: dict[str, Any]) -> Any:
        """As DELETE."""
        return _cancelled(principal, batch_id, terminate=query["terminate"])


def _told(item: BatchItem | RefusedItem, webhook: str) -> BatchItem | RefusedItem:
    """Under a key of its own it is the job that a submission with this ``webhook`` is."""
    if isinstance(item, RefusedItem) or item.idempotency_key is None:
        return item
    return replace(item, content={**item.content, "webhook": webhook})


def _cancelled(principal: Principal, batch_id: str, *, terminate: bool) -> tuple[BatchRecord, HTTPStatus]:
    own_batch(principal, batch_id)
    current_app.extensions["celery"].backend.batches.cancel(batch_id, terminate=terminate)
    return own_batch(principal, batch_id), HTTPStatus.ACCEPTED


def _written(batch: SubmittedBatch) -> str:
    """The answer, as ``SubmittedBatchSchema`` describes it: by a schema ten thousand outcomes would take a second."""
    turns = Turns()
    parts = []
    for start in range(0, len(batch.outcomes), _WRITTEN_TOGETHER):
        some = batch.outcomes[start : start + _WRITTEN_TOGETHER]
        parts.append(json.dumps([outcome_fields(outcome) for outcome in some])[1:-1])
        turns()
    return f'{json.dumps(submitted_head(batch))[:-1]}, "outcomes": [{", ".join(parts)}]}}'


def _nothing_accepted(error: EmptyBatchError) -> ProblemError:
    """What was refused for a limit alone is worth another try, and is answered as one job would be."""
    outcomes = {"outcomes": [outcome_fields(outcome) for outcome in error.outcomes]}
    later = {"Retry-After": str(RETRY_AFTER_FULL)}
    if any(isinstance(reason, OwnerLimitError) for reason in error.reasons):
        detail = "You have as many unfinished jobs as there may be. Wait until some have ended, or cancel some."
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=later, members=outcomes)
    if any(isinstance(reason, QueueFullError) for reason in error.reasons):
        detail = "The jobs' queue is full for the moment. Try again after Retry-After seconds."
        return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=later, members=outcomes)
    detail = "None of the jobs could be accepted, so there is no batch; outcomes say why, in the order sent."
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, members=outcomes)


def _interrupted(error: InterruptedBatchError, *, with_key: bool) -> ProblemError:
    outcomes: list[Outcome] = list(error.outcomes)
    accepted = sum(outcome.refusal is None for outcome in outcomes)
    what_to_do = (
        "Send the same batch again under its Idempotency-Key: that accepts the rest, and no job twice."
        if with_key
        else "Send what was not accepted as another batch; under an Idempotency-Key this one could be sent again."
    )
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The job queue went away when {accepted:,} of {len(outcomes):,} jobs were known to be accepted; outcomes "
        f"say which. A job that is refused there and has a task_id may have been accepted too: ask for its result. "
        f"{what_to_do}",
        headers={"Retry-After": str(RETRY_AFTER)},
        members={"batch_id": error.batch_id, "outcomes": [outcome_fields(outcome) for outcome in outcomes]},
    )
