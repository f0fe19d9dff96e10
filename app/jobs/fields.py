"""Marshmallow fields for job params that mean something here."""

from typing import Any
from uuid import UUID

from flask import current_app, g
from marshmallow import ValidationError, fields

from app.files import ExpiredUploadError, UnknownUploadError, Uploads


class WholeNumber(fields.Integer):
    """An integer as JSON Schema has it: 3 and 3.0 are one number; "3", 3.5 and true are none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _validated(self, value: Any) -> int:
        return super()._validated(int(value) if isinstance(value, float) and value.is_integer() else value)


class UploadId(fields.String):
    """The ``file_id`` of an upload of the submitter's own; anybody else's counts as missing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: For forms: JSON Schema leaves names that begin so to whoever uses them.
        self.metadata = {"format": "uuid", "x-upload": True, **self.metadata}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        file_id: str = super()._deserialize(value, attr, data, **kwargs)
        try:
            file_id = str(UUID(file_id))
        except ValueError as error:
            raise ValidationError("Not a file id. POST files answers one.") from error
        uploads: Uploads = current_app.extensions["uploads"]
        try:
            return uploads.use(file_id, owner=g.get("principal") or "").id
        except ExpiredUploadError as error:
            raise ValidationError("This file has expired. Upload it again with POST files.") from error
        except UnknownUploadError as error:
            raise ValidationError("There is no such file of yours. Upload it with POST files first.") from error
