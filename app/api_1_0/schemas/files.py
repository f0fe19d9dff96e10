"""Uploaded files."""

from marshmallow import Schema, fields

from app.api_1_0.schemas.times import UtcDateTime


class UploadedFileSchema(Schema):
    """An uploaded file; params name it by ``file_id``."""

    file_id = fields.String(attribute="id", required=True)
    name = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "In bytes."})
    content_type = fields.String(required=True)
    sha256 = fields.String(required=True)
    created_at = UtcDateTime(required=True)
    expires_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Unless a job that names it is submitted, or runs, before. null: never."},
    )


class FilePageSchema(Schema):
    """A page of one's uploaded files."""

    files = fields.List(fields.Nested(UploadedFileSchema), required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of the next page; null on the last."}
    )
