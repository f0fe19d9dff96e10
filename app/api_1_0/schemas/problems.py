"""Errors."""

from marshmallow import Schema, fields

from app.api_1_0.schemas.batches import OutcomeSchema


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "What is wrong and what to do about it."})
    errors = fields.Dict(keys=fields.String(), metadata={"description": "Messages by field."})
    request_id = fields.String()
    batch_id = fields.String(metadata={"description": "The batch of which a part was accepted."})
    outcomes = fields.List(
        fields.Nested(OutcomeSchema),
        metadata={"description": "What became of each job of a batch, in the order sent."},
    )
