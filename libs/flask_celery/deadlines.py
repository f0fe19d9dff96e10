"""The two times after which a job is late: *expires*, by which it must have started, and its *deadline*, by which it
must have ended.

``expires`` is Celery's own option and header, so that stock workers heed it too. It is over with the first start:
what has started in time may try again, or run again when its worker dies. The deadline is in the submission's facts.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

#: Why a job was cancelled: Celery's word for the first, and ours for the second.
EXPIRED = "expired"
OVERDUE = "it has not ended by its deadline"


def expires_at(headers: Mapping[str, Any]) -> int:
    """After when a task message must not start, in Unix milliseconds; 0 for never, or when nobody can tell."""
    try:
        moment = datetime.fromisoformat(headers.get("expires") or "")
    except (ValueError, TypeError):
        return 0
    return round(moment.timestamp() * 1000) if moment.tzinfo else 0


def with_zone(expires: str, zone: tzinfo) -> str:
    """The header with the zone in which Celery's workers read one that has none."""
    moment = datetime.fromisoformat(expires)
    return expires if moment.tzinfo else moment.replace(tzinfo=zone).isoformat()


def is_late(moment: datetime | None) -> bool:
    """Whether an aware time has passed."""
    return moment is not None and datetime.now(UTC) > moment
