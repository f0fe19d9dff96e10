"""The cursors of pages: where the next one begins, opaque to clients."""

import base64
import re

from marshmallow import ValidationError

#: What an id may be that stands beside a time in ms.
_ANY = r".+"


def write_cursor(position: tuple[int, str] | None) -> str | None:
    """None where there is no next page."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"{position[0]} {position[1]}".encode()).decode()


def read_cursor(cursor: str | None, *, ids: str = _ANY) -> tuple[int, str] | None:
    """The time in ms and the id, which must be as the pattern ``ids`` has it. Raises: ValidationError."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        position = re.fullmatch(rf"([0-9]{{1,15}}) ({ids})", text, re.DOTALL)
    except ValueError:  # not Base64, or not UTF-8 in it
        position = None
    if position is None:
        raise ValidationError("Not a cursor that this service gave.", "cursor")
    return int(position[1]), position[2]
