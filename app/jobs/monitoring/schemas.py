"""The params of the monitoring jobs."""

from marshmallow import Schema, fields, validate

from app.jobs.fields import WholeNumber
from app.jobs.monitoring.services.targets import LONGEST_NAME, MOST_TARGETS

_WEEK = 10_080


class AggregateParams(Schema):
    """Params of ``monitoring.aggregate_metrics``."""

    minutes = WholeNumber(
        load_default=60, validate=validate.Range(1, _WEEK), metadata={"description": "The length of the window."}
    )
    until = fields.AwareDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "The window's end (RFC 3339, with its zone), itself not in it. Now when null."},
    )
    targets = fields.List(
        fields.String(validate=validate.Length(1, LONGEST_NAME)),
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, MOST_TARGETS),
        metadata={"description": "Names of targets, which alone are then answered. All, and the hosts, when null."},
    )
    series = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "Whether the answer has, beside the figures, series to plot."},
    )


class CollectParams(Schema):
    """Params of ``monitoring.collect_metrics``."""

    targets = fields.List(fields.String(), load_default=None, allow_none=True)
    host = fields.Boolean(load_default=True)


class KeepParams(Schema):
    """Params of ``monitoring.keep_summaries``: what ``monitoring.aggregate_metrics`` has answered."""

    aggregated = fields.Dict(required=True)


class CollectAndAggregateParams(Schema):
    """Params of ``monitoring.collect_and_aggregate``."""

    until = fields.AwareDateTime(load_default=None, allow_none=True)
