"""The cursors of pages: where the next one begins, opaque to clients."""

import base64
import re

from marshmallow import ValidationError

#: A time in ms and a task id.
_POSITION = re.compile(r"([0-9]{1,15}) (.+)", re.DOTALL)


def write_cursor(position: tuple[int, str] | None) -> str | None:
    """None where there is no next page."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"{position[0]} {position[1]}".encode()).decode()


def read_cursor(cursor: str | None) -> tuple[int, str] | None:
    """Raises: ValidationError."""
    if cursor is None:
        return None
    try:
        position = _POSITION.fullmatch(base64.b64decode(cursor, altchars=b"-_", validate=True).decode())
    except ValueError:  # not Base64, or not UTF-8 in it
        position = None
    if position is None:
        raise ValidationError("Not a cursor that this service gave.", "cursor")
    return int(position[1]), position[2]
