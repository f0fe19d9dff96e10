"""Input files: uploading, listing, reading back and removing one's own."""

import base64
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Response, current_app
from flask_restful import Resource
from marshmallow import Schema, ValidationError, fields, validate

from app.api_1_0.downloads import HEADERS, REQUEST_HEADERS, download
from app.api_1_0.operation import Operation, operation
from app.api_1_0.receiving import received
from app.api_1_0.schemas import FilePageSchema, UploadedFileSchema
from app.api_keys import Principal, Scope
from app.files import StoredFile, Upload, Uploads

#: What a cursor holds: when the last upload of the page was created, in µs, and its id.
_POSITION = re.compile(r"([0-9]{1,17}) ([0-9a-f-]{36})")


class UploadQuery(Schema):
    """For a body that is the file itself."""

    name = fields.String(validate=validate.Length(min=1, max=255), metadata={"description": "The file's name."})


class FilePageQuery(Schema):
    """Which of one's files."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Length(min=1, max=512))


class FileList(Resource):  # type: ignore[misc]
    """``files``"""

    @operation(
        Operation(
            "List your input files, newest first",
            Scope.READ,
            {200: FilePageSchema},
            query=FilePageQuery,
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        before, limit = _read_cursor(query["cursor"]) if "cursor" in query else None, query["limit"]
        page = _uploads().page(principal.name, before=before, limit=limit + 1)
        more = len(page) > limit
        return {"files": page[:limit], "next": _write_cursor(page[limit - 1]) if more else None}, HTTPStatus.OK

    @operation(
        Operation(
            "Upload an input file",
            Scope.SUBMIT,
            {201: UploadedFileSchema},
            errors=(400, 413, 415, 422, 503, 507),
            query=UploadQuery,
            description="As a form with the field `file`, or as the body itself, of any media type, with `?name=`.",
        )
    )
    def post(self, principal: Principal, query: dict[str, Any]) -> Any:
        """Params then name it by its ``file_id``."""
        uploads = _uploads()
        with received(uploads, principal.name, query.get("name")) as incoming:
            file_id = incoming.finish()
        return uploads.find(file_id, owner=principal.name), HTTPStatus.CREATED


class File(Resource):  # type: ignore[misc]
    """``files/{file_id}``"""

    @operation(Operation("Describe an input file", Scope.READ, {200: UploadedFileSchema}, errors=(404, 410)))
    def get(self, principal: Principal, file_id: str) -> Any:
        """Its name, size, type, digest and when it expires."""
        return _own(principal, file_id), HTTPStatus.OK

    @operation(
        Operation(
            "Remove an input file",
            Scope.SUBMIT,
            {204: None},
            errors=(404, 409, 410, 503),
            description="Not while a job that has not ended names it.",
        )
    )
    def delete(self, principal: Principal, file_id: str) -> Any:
        """At once, and its bytes count no more."""
        _uploads().remove(_own(principal, file_id))
        return Response(status=HTTPStatus.NO_CONTENT)


class FileContent(Resource):  # type: ignore[misc]
    """``files/{file_id}/content``"""

    @operation(
        Operation(
            "Download an input file",
            Scope.READ,
            {200: None, 206: None, 304: None},
            errors=(404, 410, 412, 416, 503),
            headers={200: HEADERS, 206: (*HEADERS, "Content-Range"), 304: HEADERS},
            request_headers=REQUEST_HEADERS,
            description="Takes `Range`, so that a download can go on where it broke off, and `If-None-Match`.",
        )
    )
    def get(self, principal: Principal, file_id: str) -> Response:
        """Its bytes as they were uploaded, as an attachment."""
        upload = _own(principal, file_id)
        return download(
            _uploads().open(upload),
            StoredFile(upload.key, upload.size, upload.created_at),
            name=upload.name,
            content_type=upload.content_type,
            etag=upload.sha256,
        )


def _uploads() -> Uploads:
    uploads: Uploads = current_app.extensions["uploads"]
    return uploads


def _own(principal: Principal, file_id: str) -> Upload:
    return _uploads().find(file_id, owner=None if Scope.ADMIN in principal.scopes else principal.name)


def _write_cursor(last: Upload) -> str:
    micros = int(last.created_at.timestamp()) * 1_000_000 + last.created_at.microsecond
    return base64.urlsafe_b64encode(f"{micros} {last.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        position = _POSITION.fullmatch(base64.b64decode(cursor, altchars=b"-_", validate=True).decode())
        if position is None:
            raise ValueError(cursor)
        seconds, micros = divmod(int(position[1]), 1_000_000)
        return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=micros), position[2]
    except (ValueError, OverflowError, OSError) as error:
        raise ValidationError("Not a cursor that this service gave.", "cursor") from error
