"""The ``Cancel-After`` header: how long a job may take, from its submission to its end."""

import re

from flask import Request
from marshmallow import ValidationError

from app.api_1_0.queries import LONGEST_TIME

_SECONDS = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,5})s)?")


def read_cancel_after(request: Request) -> int | None:
    """Seconds, or None when there is none. Raises: ValidationError for what is no time to take."""
    if "HTTP_CANCEL_AFTER" not in request.environ:  # looked up: ``headers`` are searched from end to end
        return None
    values = request.headers.getlist("Cancel-After")
    seconds = _seconds(values[0].strip()) if len(values) == 1 else 0
    if not 0 < seconds <= LONGEST_TIME:
        raise ValidationError(
            "Is one time from a second to ten years: seconds, or hours, minutes and seconds such as 5m or 1h30m.",
            "Cancel-After",
        )
    return seconds


def _seconds(text: str) -> int:
    if _SECONDS.fullmatch(text):
        return int(text)
    duration = _DURATION.fullmatch(text)
    if duration is None:
        return 0
    hours, minutes, seconds = (int(part or 0) for part in duration.groups())
    return hours * 3600 + minutes * 60 + seconds
