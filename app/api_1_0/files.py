"""Uploading input files."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import IO, Any

from flask import current_app, request
from flask_restful import Resource
from marshmallow import Schema, fields, validate

from app.api_1_0.operation import Operation, operation
from app.api_1_0.schemas import UploadedFileSchema
from app.api_keys import Principal, Scope
from app.extensions import db
from app.file_store import FileStore, UploadTooLargeError
from app.problem import ProblemError

_CHUNK = 256 * 1024

#: RFC 6838, section 4.2: the names a media type can have. Anything else is not worth keeping.
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


class UploadQuery(Schema):
    """For a body that is the file itself."""

    name = fields.String(validate=validate.Length(min=1, max=255), metadata={"description": "The file's name."})


class FileList(Resource):  # type: ignore[misc]
    """``files``"""

    @operation(
        Operation(
            "Upload an input file",
            Scope.SUBMIT,
            {201: UploadedFileSchema},
            errors=(400, 413, 422),
            query=UploadQuery,
            description="As a form with the field `file`, or as the body itself, of any media type, with `?name=`.",
        )
    )
    def post(self, principal: Principal, query: dict[str, Any]) -> Any:
        """Params then name it by its ``file_id``."""
        store: FileStore = current_app.extensions["job_files"]
        request.max_content_length = current_app.config["MAX_UPLOAD"] + _CHUNK  # the form's own bytes
        name, content_type, stream = _incoming(query)
        if not _MEDIA_TYPE.fullmatch(content_type):
            content_type = "application/octet-stream"
        try:
            upload = store.save_upload(
                db.session(), _chunks(stream), owner=principal.name, name=name, content_type=content_type
            )
        except UploadTooLargeError as error:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A file may have {error.limit:,} bytes. Split it."
            ) from error
        try:
            _require_whole(upload.size)
            db.session.commit()
        except Exception:
            store.discard_upload(upload.id)
            raise
        return upload, HTTPStatus.CREATED


def _require_whole(size: int) -> None:
    """Raises: ProblemError when nothing came, or less than was announced.

    gunicorn ends the stream of a client that has gone away as it ends any other, and werkzeug then trusts it
    (``wsgi.input_terminated``). A form that breaks off is noticed by its missing boundary.
    """
    if size == 0:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The file is empty. Send its bytes, e.g. curl -F file=@parts.csv.")
    if request.mimetype != "multipart/form-data" and request.content_length not in (None, size):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The upload broke off before its Content-Length. Send it again.")


def _incoming(query: dict[str, Any]) -> tuple[str, str, IO[bytes]]:
    """Name, media type and bytes. The name is for people only; nothing is ever opened by it."""
    if request.mimetype != "multipart/form-data":
        return _plain(query.get("name", "upload")), request.mimetype, request.stream
    others = sorted({*request.form, *request.files} - {"file"})
    if others or len(request.files.getlist("file")) != 1:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Send one file in the form field named file and nothing else, e.g. curl -F file=@parts.csv.",
            errors={key: ["Unknown field."] for key in others} or {"file": ["Missing, or more than one."]},
        )
    part = request.files["file"]
    return _plain(query.get("name") or part.filename or "upload"), part.mimetype, part.stream


def _plain(name: str) -> str:
    """The last part of a client's path, printable."""
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    last = PurePosixPath(printable).name[:255]
    return last if last.strip(".") else "upload"


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
