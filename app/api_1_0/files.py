"""Uploading input files."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import IO, Any

from flask import current_app, request
from flask_restful import Resource
from marshmallow import Schema, fields, validate

from app.api_1_0.operation import Operation, operation
from app.api_1_0.schemas import FileSchema
from app.api_keys import Principal, Scope
from app.errors import ProblemError
from app.extensions import db
from app.file_store import FileStore, UploadTooLargeError

_CHUNK = 256 * 1024


class UploadQuery(Schema):
    """For a body that is the file itself."""

    name = fields.String(validate=validate.Length(min=1, max=255), metadata={"description": "The file's name."})


class FileList(Resource):  # type: ignore[misc]
    """``files``"""

    @operation(
        Operation(
            "Upload an input file",
            Scope.SUBMIT,
            {201: FileSchema},
            errors=(400, 413, 422),
            query=UploadQuery,
            description="As a form with the field `file`, or as the body itself with `?name=`.",
        )
    )
    def post(self, principal: Principal, query: dict[str, Any]) -> Any:
        """Params then name it by its ``file_id``."""
        store: FileStore = current_app.extensions["job_files"]
        request.max_content_length = current_app.config["MAX_UPLOAD"] + _CHUNK  # the form's own bytes
        name, content_type, stream = _incoming(query)
        try:
            upload = store.save_upload(
                db.session(), _chunks(stream), owner=principal.name, name=name, content_type=content_type
            )
        except UploadTooLargeError as error:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A file may have {error.limit:,} bytes. Split it."
            ) from error
        if upload.size == 0:
            db.session.rollback()
            store.discard_upload(upload.id)
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "The file is empty. Send its bytes, e.g. curl -F file=@parts.csv."
            )
        try:
            db.session.commit()
        except Exception:
            store.discard_upload(upload.id)
            raise
        return upload, HTTPStatus.CREATED


def _incoming(query: dict[str, Any]) -> tuple[str, str, IO[bytes]]:
    """Name, media type and bytes. The name is for people only; nothing is ever opened by it."""
    if request.mimetype != "multipart/form-data":
        return _plain(query.get("name", "upload")), request.mimetype or "application/octet-stream", request.stream
    if list(request.files) != ["file"] or len(request.files.getlist("file")) != 1:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Send one file in the form field named file, e.g. curl -F file=@parts.csv.",
            errors={"file": ["Missing, or more than one."]},
        )
    part = request.files["file"]
    return _plain(query.get("name") or part.filename or "upload"), part.mimetype, part.stream


def _plain(name: str) -> str:
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    return PurePosixPath(printable).name[:255] or "upload"


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
