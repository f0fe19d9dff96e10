"""What a program's environment says of the server, for programs that do not."""

from __future__ import annotations

import os


def address_and_key() -> tuple[str | None, str | None]:
    """``TASKGATE_URL`` and ``TASKGATE_KEY``; None for one that is not set or empty."""
    return os.environ.get("TASKGATE_URL") or None, os.environ.get("TASKGATE_KEY") or None
