"""A principal's own jobs: listing and cancelling."""

import base64
import re
from http import HTTPStatus
from typing import Any

from flask import current_app
from flask_restful import Resource
from marshmallow import ValidationError

from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.queries import CancelQuery, JobPageQuery
from app.api_1_0.schemas import JobPageSchema, ResultSchema
from app.api_keys import Principal, Scope
from libs.flask_celery import JobRecord

#: Jobs looked at for one page. A page of a rare filter may be short, or empty, and still have a next one.
_MOST_SCANNED = 2_000

#: What a cursor holds: when the last job of the page was submitted, in ms, and its task id.
_POSITION = re.compile(r"([0-9]{1,15}) (.+)", re.DOTALL)


class JobList(Resource):  # type: ignore[misc]
    """``jobs``"""

    @operation(
        Operation(
            "List your jobs, newest first",
            Scope.READ,
            {200: JobPageSchema},
            errors=(422, 503),
            query=JobPageQuery,
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        records = current_app.extensions["celery"].backend.records
        page: list[JobRecord] = []
        position = before = _read_cursor(query["cursor"]) if "cursor" in query else None
        for scanned, (submitted, record) in enumerate(records.newest(principal.name, before=before), start=1):
            if "since" in query and submitted < query["since"].timestamp() * 1000:
                break
            position = (submitted, record.task_id)
            if _matches(record, query):
                page.append(record)
            if len(page) == query["limit"] or scanned == _MOST_SCANNED:
                return {"jobs": page, "next": _write_cursor(position)}, HTTPStatus.OK
        return {"jobs": page, "next": None}, HTTPStatus.OK


class Job(Resource):  # type: ignore[misc]
    """``jobs/{task_id}``"""

    @operation(
        Operation(
            "Cancel a job",
            Scope.CANCEL,
            {202: ResultSchema},
            errors=(404, 409, 410, 422, 503),
            query=CancelQuery,
            job_token=True,
        )
    )
    def delete(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Any:
        """At once while it waits; a running job is asked, and stops at its next progress call."""
        own_record(principal, task_id)
        records = current_app.extensions["celery"].backend.records
        records.cancel(task_id, terminate=query["terminate"])
        return records.get(task_id), HTTPStatus.ACCEPTED


def _matches(record: JobRecord, query: dict[str, Any]) -> bool:
    return ("task" not in query or record.task == query["task"]) and (
        "state" not in query or record.state is query["state"]
    )


def _write_cursor(position: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(f"{position[0]} {position[1]}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        position = _POSITION.fullmatch(base64.b64decode(cursor, altchars=b"-_", validate=True).decode())
    except ValueError:  # not Base64, or not UTF-8 in it
        position = None
    if position is None:
        raise ValidationError("Not a cursor that this service gave.", "cursor")
    return int(position[1]), position[2]
