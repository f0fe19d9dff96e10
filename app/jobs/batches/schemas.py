"""The params of the jobs about batches."""

from marshmallow import Schema, fields


class CollectParams(Schema):
    """Params of ``batches.collect``."""

    batch_id = fields.UUID(
        required=True, metadata={"description": "A batch of yours; put in by the service where this is its `then`."}
    )
