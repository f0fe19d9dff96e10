"""What a job's runs have logged."""

from http import HTTPStatus
from typing import Any

from flask import current_app
from flask_restful import Resource
from marshmallow import fields, validate

from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.schemas import LogPageSchema
from app.api_1_0.zones import ZoneQuery
from app.api_keys import Principal, Scope
from libs.flask_celery import JobHistory

_MOST_LINES = 1_000


class LogQuery(ZoneQuery):
    """Which lines."""

    cursor = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 2**53),
        metadata={"description": "Lines after this number: `next` of the page before."},
    )
    limit = fields.Integer(load_default=100, validate=validate.Range(1, _MOST_LINES))


class JobLog(Resource):  # type: ignore[misc]
    """``jobs/{task_id}/logs``"""

    @operation(
        Operation(
            "Read a job's log",
            Scope.READ,
            {200: LogPageSchema},
            errors=(404, 410, 503),
            query=LogQuery,
            job_token=True,
            description="The lines that its runs have logged, the oldest first. The newest are kept, as long as the "
            "result. While the job is not final, `next` is where new lines will be.",
        )
    )
    def get(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        is_final = own_record(principal, task_id).state.ready
        history: JobHistory = current_app.extensions["celery"].backend.history
        page = history.log(task_id, after=query["cursor"], limit=query["limit"])
        last = page.lines[-1].number if page.lines else query["cursor"]
        is_end = is_final and last >= page.last
        return {"lines": page.lines, "dropped": page.dropped, "next": None if is_end else last}, HTTPStatus.OK
