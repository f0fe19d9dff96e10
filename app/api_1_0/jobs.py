"""Jobs: listing and cancelling."""

from http import HTTPStatus
from typing import Any

from flask import current_app
from flask_restful import Resource

from app.api_1_0.cursors import read_cursor, write_cursor
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record, owner_asked_for
from app.api_1_0.queries import CancelQuery, JobPageQuery
from app.api_1_0.schemas import JobPageSchema, ResultSchema
from app.api_keys import Principal, Scope
from libs.flask_celery import JobRecord, Wanted, search

#: Jobs looked at for one page. A page of a rare filter may be short, or empty, and still have a next one.
MOST_SCANNED = 5_000


class JobList(Resource):  # type: ignore[misc]
    """``jobs``"""

    @operation(
        Operation(
            "List jobs, newest first",
            Scope.READ,
            {200: JobPageSchema},
            errors=(422, 503),
            query=JobPageQuery,
            description=f"A page that looks for what is rare among more than {MOST_SCANNED:,} jobs may be short, or "
            "empty, and have a `next` one.",
            headers={200: ("Content-Language",)},
            request_headers=("Accept-Language",),
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page of one's own, or for an admin of ``owner``; ``next`` is the cursor of the one after it."""
        backend = current_app.extensions["celery"].backend
        found = search(
            backend,
            backend.keys.owner(owner_asked_for(principal, query) or principal.name),
            Wanted(
                task=query.get("task"),
                states=query.get("state", ()),
                since=_milliseconds(query, "since"),
                until=_milliseconds(query, "until"),
            ),
            after=read_cursor(query.get("cursor")),
            limit=query["limit"],
            most_scanned=MOST_SCANNED,
        )
        records = backend.records.get_many([task_id for _, task_id in found.jobs]) if found.jobs else []
        page = [record for record in records if isinstance(record, JobRecord)]  # else it has expired just now
        return {"jobs": page, "next": write_cursor(found.next)}, HTTPStatus.OK


class Job(Resource):  # type: ignore[misc]
    """``jobs/{task_id}``"""

    @operation(
        Operation(
            "Cancel a job",
            Scope.CANCEL,
            {202: ResultSchema},
            errors=(404, 409, 410, 422, 503),
            query=CancelQuery,
            headers={202: ("Content-Language",)},
            request_headers=("Accept-Language",),
            job_token=True,
        )
    )
    def delete(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Any:
        """At once while it waits; a running job is asked, and stops at its next progress call."""
        own_record(principal, task_id)
        records = current_app.extensions["celery"].backend.records
        records.cancel(task_id, terminate=query["terminate"])
        return records.get(task_id), HTTPStatus.ACCEPTED


def _milliseconds(query: dict[str, Any], name: str) -> float | None:
    return query[name].timestamp() * 1000 if name in query else None
