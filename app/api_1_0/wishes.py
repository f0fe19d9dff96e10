"""What a submission asks for beside its params: when, how urgently, where and for how long at the most."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Request
from marshmallow import ValidationError

from app.api_1_0.cancel_after import read_cancel_after
from libs.flask_celery import JobDescription


@dataclass(frozen=True, slots=True)
class Wishes:
    """``query`` is a loaded SubmitQuery; ``cancel_after`` in seconds."""

    query: dict[str, Any]
    cancel_after: int | None

    def content(self) -> dict[str, Any]:
        """What must be the same under the same idempotency key."""
        return self.query if self.cancel_after is None else {**self.query, "Cancel-After": self.cancel_after}

    def publish_options(self) -> dict[str, Any]:
        """Options of ``Task.apply_async``."""
        if not self.query:
            return {}
        options: dict[str, Any] = {name: self.query[name] for name in ("priority", "queue") if name in self.query}
        times = []
        if self.query.get("delay"):
            times.append(datetime.now(UTC) + timedelta(seconds=self.query["delay"]))
        if "at" in self.query:
            times.append(_in_utc(self.query["at"]))
        if times:
            options["eta"] = max(times)
        if "expires" in self.query:
            expires = self.query["expires"]
            is_time = isinstance(expires, datetime)
            options["expires"] = _in_utc(expires) if is_time else datetime.now(UTC) + timedelta(seconds=expires)
        return options


def read_wishes(request: Request, query: dict[str, Any], described: Callable[[], JobDescription]) -> Wishes:
    """The wishes of a request for the job that ``described`` describes.

    What contradicts itself is refused. What only the clock contradicts is not, such as ``expires`` in the past: sent
    again under its idempotency key it has to be the same job still.
    Raises: ValidationError.
    """
    wishes = Wishes(query, read_cancel_after(request))
    check_wishes(wishes, described)
    return wishes


def check_wishes(wishes: Wishes, described: Callable[[], JobDescription]) -> None:
    """Raises: ValidationError for what contradicts itself, or is not for this job."""
    query = wishes.query
    if not query and wishes.cancel_after is None:
        return
    errors: dict[str, list[str]] = {}
    if "queue" in query and query["queue"] not in (queues := described().queues):
        errors["queue"] = [f"This task takes: {', '.join(queues)}."]
    if _is_never(query):
        errors["expires"] = ["Must be later than the job may start (delay, at)."]
    if wishes.cancel_after is not None and wishes.cancel_after <= query.get("delay", 0):
        errors["Cancel-After"] = ["Must be longer than delay: the job would be cancelled before it may start."]
    if errors:
        raise ValidationError(errors)


def _is_never(query: dict[str, Any]) -> bool:
    expires = query.get("expires")
    if isinstance(expires, datetime):
        return "at" in query and bool(expires <= query["at"])
    return expires is not None and bool(expires <= query.get("delay", 0))


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # within hours of the years 1 and 9999
        return moment.replace(tzinfo=UTC)
