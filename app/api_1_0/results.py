"""The results endpoint: what clients poll."""

from hashlib import sha256
from http import HTTPStatus
from typing import Any

from flask import Response, current_app
from flask_restful import Resource
from werkzeug.utils import get_content_type

from app.api_1_0.downloads import HEADERS, REQUEST_HEADERS, download
from app.api_1_0.links import result_url
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.polling import held, poll_response
from app.api_1_0.queries import MOST_RESULTS, PollQuery, ResultListQuery
from app.api_1_0.representing import represent, represent_own, represent_own_many
from app.api_1_0.schemas import ResultListSchema, ResultSchema
from app.api_1_0.zones import ZoneQuery
from app.api_keys import Principal, Scope
from app.files import JobFiles
from app.problem import ProblemError
from libs.flask_celery import JobRecord, Wanted, job_specs, remembered_job, search

#: Jobs looked at for the newest one of a task.
_MOST_SCANNED = 2_000

_HOW_TO_POLL = (
    "Poll again after `Retry-After` seconds until `ready`. With the last answer's `ETag` as `If-None-Match` it is a "
    "304 as long as nothing has changed, and with `wait` the answer is held until something has."
)


class Result(Resource):  # type: ignore[misc]
    """``results/{task_id}``"""

    @operation(
        Operation(
            "Get a job's state and result",
            Scope.READ,
            {200: ResultSchema, 304: None},
            errors=(404, 410, 503),
            job_token=True,
            query=PollQuery,
            headers={200: ("ETag", "Retry-After", "Content-Language"), 304: ("ETag", "Retry-After")},
            request_headers=("If-None-Match", "Accept-Language"),
            description=_HOW_TO_POLL,
        )
    )
    def get(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Response:
        """The state now, or with ``wait`` once it is another one."""
        return poll_response(held(lambda: represent_own(principal, task_id), query["wait"]))


class ResultList(Resource):  # type: ignore[misc]
    """``results``"""

    @operation(
        Operation(
            "Get the states and results of many jobs",
            Scope.READ,
            {200: ResultListSchema, 304: None},
            errors=(503,),
            query=ResultListQuery,
            headers={200: ("ETag", "Retry-After", "Content-Language"), 304: ("ETag", "Retry-After")},
            request_headers=("If-None-Match", "Accept-Language"),
            description=f"Up to {MOST_RESULTS} jobs in one poll. {_HOW_TO_POLL}",
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Response:
        """An entry for each id, in the order asked; a problem in the place of a job that is not there."""
        ids = query["task_id"]
        return poll_response(held(lambda: represent_own_many(principal, ids), query["wait"]))


class LatestResult(Resource):  # type: ignore[misc]
    """``results/latest/{task}``"""

    @operation(
        Operation(
            "Get your newest job of a task",
            Scope.READ,
            {200: ResultSchema, 304: None},
            errors=(404, 503),
            query=ZoneQuery,
            headers={
                200: ("ETag", "Retry-After", "Content-Location", "Content-Language"),
                304: ("ETag", "Retry-After"),
            },
            request_headers=("If-None-Match", "Accept-Language"),
            description="By task, for a client that has no id. It is known for as long as its result is; of a task "
            f"that is not unique by `owner`, when it is among your newest {_MOST_SCANNED:,} jobs.",
        )
    )
    def get(self, principal: Principal, task: str, query: dict[str, Any]) -> Response:
        """The job that was submitted last; go on polling it by its ``task_id``."""
        celery_app = current_app.extensions["celery"]
        record = remembered_job(celery_app, job_specs(celery_app).get(task), principal.name)
        if record is None:
            record = _newest_of(celery_app.backend, principal.name, task)
        if record is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, "You have no job of this task, or none that is new enough. Submit one."
            )
        return poll_response(represent(principal, record), **{"Content-Location": result_url(record.task_id)})


def _newest_of(backend: Any, owner: str, task: str) -> JobRecord | None:
    found = search(
        backend, backend.keys.owner(owner), Wanted(task=task), after=None, limit=1, most_scanned=_MOST_SCANNED
    )
    records = backend.records.get_many([task_id for _, task_id in found.jobs])
    return next((record for record in records if isinstance(record, JobRecord)), None)


class ResultFile(Resource):  # type: ignore[misc]
    """``results/{task_id}/files/{name}``"""

    @operation(
        Operation(
            "Download a file that a job produced",
            Scope.READ,
            {200: None, 206: None, 304: None},
            errors=(404, 410, 412, 416, 503),
            job_token=True,
            headers={200: HEADERS, 206: (*HEADERS, "Content-Range"), 304: HEADERS},
            request_headers=REQUEST_HEADERS,
            description="Takes `Range`, so that a download can go on where it broke off, and `If-None-Match`.",
        )
    )
    def get(self, principal: Principal, task_id: str, name: str) -> Response:
        """The file's bytes, as an attachment."""
        record = own_record(principal, task_id)
        file = next((file for file in record.files if file.name == name), None)
        if file is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "The job has no such file; its result lists those it has.")
        files: JobFiles = current_app.extensions["job_files"]
        stored = files.find(file)
        content_type = get_content_type(file.content_type, "utf-8")
        # A key is one file's and stands for its bytes, which never change.
        etag = sha256(file.key.encode()).hexdigest()[:32]
        return download(files.open(stored), stored, name=file.name, content_type=content_type, etag=etag)
