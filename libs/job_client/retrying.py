"""How long to go on trying, and how long to wait between tries."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a reply is lost, or the server says 429 or 503. All in seconds.

    Args:
        patience: since the first try; 0 for one try alone.
        first: the wait after the first try; each further one is twice as long.
        longest: the wait is no longer than this, unless the server's ``Retry-After`` is.
    """

    patience: float = 60.0
    first: float = 0.25
    longest: float = 10.0

    def pause(self, tries: int, *, left: float, retry_after: float | None = None) -> float | None:
        """Seconds until the next try, or None when that would be after the ``left`` ones.

        A part is by chance, so that clients whom the same server has left do not come back as one. What the server
        asks for is a minimum.
        """
        wait: float = min(self.first * 2.0 ** min(tries - 1, 30), self.longest) * random.uniform(0.5, 1.0)
        if retry_after is not None:
            wait = max(wait, retry_after + random.uniform(0.0, self.first))
        return wait if wait <= left else None


def retry_after_seconds(value: str | None) -> float | None:
    """Of a ``Retry-After`` in seconds, as this API sends it; None for a date or anything else."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
