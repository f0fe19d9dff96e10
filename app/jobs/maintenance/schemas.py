"""The params of the maintenance jobs."""

from marshmallow import Schema, fields, validate

from app.jobs.fields import UploadId, WholeNumber

#: Numbers that JSON readers in every language hold exactly (RFC 8259, section 6).
_EXACT = 2**53 - 1


class RefreshParams(Schema):
    """Params of ``maintenance.refresh_onboard_table``."""

    file_id = UploadId(
        required=True, metadata={"description": "A CSV or XLSX file of parts, uploaded with POST files."}
    )
    add_time = fields.AwareDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "Only rows added after this time (RFC 3339, with its zone). All rows when null."},
    )


class MatchParams(Schema):
    """Params of ``maintenance.match_self_table``."""

    month = fields.String(
        load_default=None,
        allow_none=True,
        validate=[
            validate.Regexp(r"^[1-9][0-9]{3}(0[1-9]|1[0-2])$", error="Give a month as YYYYMM, such as 202611."),
            validate.Length(equal=6),  # Python's $ lets a line end pass, JSON Schema's does not
        ],
        metadata={"description": "Only parts added in this month, YYYYMM. All parts when null."},
    )


class AddsParams(Schema):
    """Params of ``maintenance.adds``."""

    a = WholeNumber(required=True, validate=validate.Range(-_EXACT, _EXACT))
    b = WholeNumber(required=True, validate=validate.Range(-_EXACT, _EXACT))
