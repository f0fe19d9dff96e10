"""Jobs of which one at a time is under way. Workers of tests load them with Celery's ``-I``."""

from __future__ import annotations

from marshmallow import Schema, fields

from libs.flask_celery import job


class LabelParams(Schema):
    label = fields.String(load_default="")
    at = fields.AwareDateTime(load_default=None, allow_none=True)


@job("unique.owner", params=LabelParams, unique="owner")
def of_owner(label: str = "", at: object = None) -> str:
    """One of each owner at a time."""
    return label


@job("unique.params", params=LabelParams, unique="params")
def of_params(label: str = "", at: object = None) -> str:
    """One of each owner with the same params at a time."""
    return label


@job("unique.task", params=LabelParams, unique="task")
def of_task(label: str = "", at: object = None) -> str:
    """One at a time for all."""
    return label
