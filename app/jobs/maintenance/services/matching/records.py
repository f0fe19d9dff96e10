"""What goes into the matcher and what comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartText:
    """One row of the parts table as the matcher sees it; any text may be empty."""

    code: str
    name: str
    description: str
    manufacturer: str
    price: float | None


@dataclass(frozen=True, slots=True)
class Match:
    """Two rows that look like the same part; `code_a < code_b`, `score` in 0..1, higher is more alike."""

    code_a: str
    code_b: str
    score: float
    reason: str


OnProgress = Callable[[int, int | None, str], None]
"""Called with current, total (None where unknown) and a short message."""
