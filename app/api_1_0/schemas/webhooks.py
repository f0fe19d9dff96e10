"""Webhooks: the secret, the deliveries, the test."""

from typing import Any

from flask import current_app
from marshmallow import Schema, ValidationError, fields, validate

from app.api_1_0.links import delivery_url, result_url
from app.api_1_0.schemas.times import UtcDateTime
from app.webhooks import LONGEST_URL, Delivery, DeliveryStatus, ForbiddenUrlError, without_secrets

_SHAPE = r"^https?://[A-Za-z0-9.\[\]:_-]+([/?][!-~]*)?$(?!\n)"


class WebhookUrl(fields.String):
    """An address that webhooks may be sent to, as far as can be seen from it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(min=1, max=LONGEST_URL), validate.Regexp(_SHAPE)], **kwargs)
        self.metadata = {"examples": ["https://example.com/taskgate"], **self.metadata}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url: str = super()._deserialize(value, attr, data, **kwargs)
        try:
            current_app.extensions["webhooks"].check(url)
        except ForbiddenUrlError as error:
            raise ValidationError(str(error)) from error
        return url


class WebhookSecretSchema(Schema):
    """What your webhooks are signed with."""

    secret = fields.String(required=True, metadata={"description": "As Standard Webhooks libraries take it."})
    created_at = UtcDateTime(required=True)
    previous_until = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Until then webhooks are signed with the secret before this one too."},
    )


class WebhookTestSchema(Schema):
    """Where to send a test."""

    url = WebhookUrl(required=True)


class WebhookAttemptSchema(Schema):
    """One try."""

    at = UtcDateTime(required=True)
    status = fields.Integer(required=True, allow_none=True, metadata={"description": "Of HTTP; null without one."})
    error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why there was none, in a word such as timeout."},
    )
    duration = fields.Integer(required=True, metadata={"description": "Milliseconds."})


class WebhookDeliverySchema(Schema):
    """A webhook on its way, or one that has been."""

    id = fields.String(required=True, metadata={"description": "The receiver has it as webhook-id."})
    event = fields.String(required=True, validate=validate.OneOf(["job", "test"]))
    task_id = fields.String(required=True, allow_none=True)
    url = fields.Function(
        lambda delivery: without_secrets(delivery.url),
        required=True,
        metadata={"type": "string", "description": "Without its query, which may hold a token."},
    )
    status = fields.Enum(DeliveryStatus, by_value=True, required=True)
    created_at = UtcDateTime(required=True)
    next_try_at = UtcDateTime(required=True, allow_none=True)
    attempts = fields.List(
        fields.Nested(WebhookAttemptSchema), required=True, metadata={"description": "The newest 20, in their order."}
    )
    links = fields.Method(
        "get_links", required=True, metadata={"type": "object", "additionalProperties": {"type": "string"}}
    )

    def get_links(self, delivery: Delivery) -> dict[str, str]:
        """Redelivery is offered once it is over."""
        links = {"self": delivery_url(delivery.id)}
        if delivery.task_id is not None:
            links["result"] = result_url(delivery.task_id)
        if delivery.status is not DeliveryStatus.PENDING:
            links["redeliver"] = f"{delivery_url(delivery.id)}/redeliver"
        return links


class WebhookDeliveryPageSchema(Schema):
    """Deliveries, newest first."""

    deliveries = fields.List(fields.Nested(WebhookDeliverySchema), required=True)
    next = fields.String(
        allow_none=True, required=True, metadata={"description": "The cursor of the next page; null on the last."}
    )
