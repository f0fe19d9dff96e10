"""An answer of many types; apart from the jobs that give it, which who expects it need not register."""

from datetime import UTC, datetime
from decimal import Decimal

#: JSON to Celery, which gives back each type as it was.
TYPED = {"when": datetime(2026, 1, 2, tzinfo=UTC), "price": Decimal("1.50"), "text": "\x00 ü \ud800", "pair": (1, 2)}
