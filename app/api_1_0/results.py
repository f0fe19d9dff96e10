"""The results endpoint: what clients poll."""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app, send_file
from flask_restful import Resource

from app.api_1_0.operation import Operation, Shaped, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.schemas import AdminResultSchema, ResultSchema
from app.api_keys import Principal, Scope
from app.errors import ProblemError


class Result(Resource):  # type: ignore[misc]
    """``results/{task_id}``"""

    @operation(
        Operation(
            "Get a job's state and result",
            Scope.READ,
            {200: ResultSchema},
            errors=(404, 410, 503),
            job_token=True,
            headers={200: ("Retry-After",)},
        )
    )
    def get(self, principal: Principal, task_id: str) -> Any:
        """The state now; poll again after ``Retry-After`` seconds until ``ready``."""
        record = own_record(principal, task_id)
        headers = {} if record.state.ready else {"Retry-After": "1"}
        if Scope.ADMIN in principal.scopes:
            return Shaped(AdminResultSchema, record), HTTPStatus.OK, headers
        return record, HTTPStatus.OK, headers


class ResultFile(Resource):  # type: ignore[misc]
    """``results/{task_id}/files/{name}``"""

    @operation(
        Operation(
            "Download a file that a job produced",
            Scope.READ,
            {200: None, 206: None, 304: None},
            errors=(404, 410, 416, 503),
            job_token=True,
            description="Takes `Range`, so that a download can go on where it broke off, and `If-None-Match`.",
        )
    )
    def get(self, principal: Principal, task_id: str, name: str) -> Response:
        """The file's bytes, as an attachment."""
        record = own_record(principal, task_id)
        file = next((file for file in record.files if file.name == name), None)
        if file is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "The job has no such file; its result lists those it has.")
        path = current_app.extensions["job_files"].job_file_path(task_id, file)
        if not path.is_file():
            raise ProblemError(HTTPStatus.GONE, "The file has been removed. Submit the job again to have it anew.")
        return send_file(path, mimetype=file.content_type, as_attachment=True, download_name=file.name)
