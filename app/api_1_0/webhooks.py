"""A principal's webhooks: the secret, the deliveries, a test."""

from http import HTTPStatus
from itertools import islice
from typing import Any

from flask import current_app, g, request
from flask_restful import Resource
from marshmallow import Schema, fields, validate
from sqlalchemy.exc import IntegrityError

from app.api_1_0.cursors import read_cursor, write_cursor
from app.api_1_0.json_body import read_json_object
from app.api_1_0.links import delivery_url
from app.api_1_0.operation import Operation, operation
from app.api_1_0.schemas import (
    WebhookDeliveryPageSchema,
    WebhookDeliverySchema,
    WebhookSecretSchema,
    WebhookTestSchema,
)
from app.api_keys import Principal, Scope
from app.extensions import db
from app.problem import RETRY_AFTER_FULL, ProblemError
from app.webhooks import Delivery, FullError, SigningSecretError, UnfinishedError, Webhooks, delivery_id_of

#: The ids of deliveries, as they stand in cursors.
_IDS = r"msg_[0-9a-f]{40}"


class DeliveryPageQuery(Schema):
    """Which of one's deliveries."""

    task_id = fields.String(validate=validate.Length(1, 255), metadata={"description": "Of this job alone."})
    limit = fields.Integer(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(validate=validate.Length(min=1, max=512))


def tell_of_ends(principal: Principal, url: str | None) -> None:
    """Have the ends of the jobs that this request submits told to ``url``, or else to the key's own address."""
    g.webhook = url or principal.webhook
    if g.webhook:
        try:
            _webhooks().require_secret(principal.name)
        except SigningSecretError as error:
            raise _unreadable(error) from error


class WebhookSecret(Resource):  # type: ignore[misc]
    """``webhooks/secret``"""

    @operation(
        Operation("Get the secret that signs your webhooks", Scope.SUBMIT, {200: WebhookSecretSchema}, errors=(409,))
    )
    def get(self, principal: Principal) -> Any:
        """Made when it is first asked for, or first needed."""
        try:
            shown = _webhooks().secrets.current(db.session(), principal.name)
        except SigningSecretError as error:
            raise _unreadable(error) from error
        db.session.commit()
        return shown, HTTPStatus.OK


class WebhookSecretRotation(Resource):  # type: ignore[misc]
    """``webhooks/secret/rotate``"""

    @operation(
        Operation(
            "Replace the secret that signs your webhooks",
            Scope.SUBMIT,
            {201: WebhookSecretSchema},
            errors=(409,),
            description="For 24 hours webhooks are signed with both, so that receivers can change over.",
        )
    )
    def post(self, principal: Principal) -> Any:
        """The new one signs at once."""
        try:
            shown = _webhooks().secrets.rotate(db.session(), principal.name)
            db.session.commit()
        except IntegrityError as error:
            raise ProblemError(
                HTTPStatus.CONFLICT, "Another call replaces the secret at this moment. Get the secret and look."
            ) from error
        return shown, HTTPStatus.CREATED


class WebhookTest(Resource):  # type: ignore[misc]
    """``webhooks/test``"""

    @operation(
        Operation(
            "Send a test to a webhook",
            Scope.SUBMIT,
            {202: WebhookDeliverySchema},
            errors=(400, 409, 413, 415, 429, 503),
            body=WebhookTestSchema,
            headers={202: ("Location",)},
            description="Sends a `webhook.test` once, as ends of jobs are sent; `Location` tells what came of it.",
        )
    )
    def post(self, principal: Principal) -> Any:
        """Queued when this answers."""
        url = WebhookTestSchema().load(read_json_object(request))["url"]
        tell_of_ends(principal, url)
        try:
            started = _webhooks().log.start_test(principal.name, url)
        except FullError as error:
            raise _full() from error
        return _started(started)


class WebhookDeliveryList(Resource):  # type: ignore[misc]
    """``webhooks/deliveries``"""

    @operation(
        Operation(
            "List your webhooks' deliveries, newest first",
            Scope.READ,
            {200: WebhookDeliveryPageSchema},
            errors=(503,),
            query=DeliveryPageQuery,
            description="Kept for a week after the last attempt; of those that are over, the newest 1,000.",
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page; ``next`` is the cursor of the one after it."""
        if "task_id" in query:
            found = _webhooks().log.get(delivery_id_of(query["task_id"]))
            own = found is not None and principal.owns(found.owner)
            return {"deliveries": [found] if own else [], "next": None}, HTTPStatus.OK
        before = read_cursor(query.get("cursor"), ids=_IDS)
        page = list(islice(_webhooks().log.newest(principal.name, before=before), query["limit"]))
        following = write_cursor((page[-1][0], page[-1][1].id)) if len(page) == query["limit"] else None
        return {"deliveries": [delivery for _, delivery in page], "next": following}, HTTPStatus.OK


class WebhookDelivery(Resource):  # type: ignore[misc]
    """``webhooks/deliveries/{delivery_id}``"""

    @operation(Operation("Get a webhook's delivery", Scope.READ, {200: WebhookDeliverySchema}, errors=(404, 503)))
    def get(self, principal: Principal, delivery_id: str) -> Any:
        """How it stands, and its attempts."""
        return _own_delivery(principal, delivery_id), HTTPStatus.OK


class WebhookRedelivery(Resource):  # type: ignore[misc]
    """``webhooks/deliveries/{delivery_id}/redeliver``"""

    @operation(
        Operation(
            "Deliver a webhook anew",
            Scope.SUBMIT,
            {202: WebhookDeliverySchema},
            errors=(404, 409, 429, 503),
            headers={202: ("Location",)},
            description="One that is over, delivered or not; with the same `webhook-id` and as many tries again.",
        )
    )
    def post(self, principal: Principal, delivery_id: str) -> Any:
        """Queued when this answers."""
        delivery = _own_delivery(principal, delivery_id)
        try:
            _webhooks().log.start_anew(delivery)
        except LookupError as error:
            raise _unknown() from error
        except UnfinishedError as error:
            raise ProblemError(
                HTTPStatus.CONFLICT, "This delivery goes on by itself; next_try_at says when it is tried again."
            ) from error
        except FullError as error:
            raise _full() from error
        return _started(delivery_id)


def _webhooks() -> Webhooks:
    webhooks: Webhooks = current_app.extensions["webhooks"]
    return webhooks


def _own_delivery(principal: Principal, delivery_id: str) -> Delivery:
    found = _webhooks().log.get(delivery_id)
    if found is None or not principal.owns(found.owner):
        raise _unknown()
    return found


def _started(delivery_id: str) -> Any:
    return _webhooks().log.get(delivery_id), HTTPStatus.ACCEPTED, {"Location": delivery_url(delivery_id)}


def _unknown() -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, "There is no such delivery. GET webhooks/deliveries lists yours.")


def _full() -> ProblemError:
    return ProblemError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "You have as many webhooks under way as there may be. See what keeps the receivers from taking them.",
        headers={"Retry-After": str(RETRY_AFTER_FULL)},
    )


def _unreadable(error: SigningSecretError) -> ProblemError:
    return ProblemError(HTTPStatus.CONFLICT, f"{error} POST webhooks/secret/rotate makes a new one.")
