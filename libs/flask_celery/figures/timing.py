"""What is timed of a job as its states are stored: how long it waited, and how long its runs took."""

from collections.abc import Mapping
from typing import Any

from celery import states

from libs.flask_celery.delays import due_at
from libs.flask_celery.ledger import now_ms


def timed(state: str, meta: Mapping[str, Any], request: Any) -> int | str:
    """In ms, or '' where nobody knows: of a run that ends, what it took; of one that starts, what the job waited.

    A job that was submitted for later waits from then on. The hosts' clocks must agree, as NTP has them.
    """
    if not meta.get("name"):
        return ""
    since = _could_run(meta, request) if state == states.STARTED else meta.get("started_at")
    return max(now_ms() - since, 0) if since else ""


def _could_run(meta: Mapping[str, Any], request: Any) -> int | None:
    submitted: int | None = meta.get("submitted_at")
    if submitted is None:
        return None
    return max(submitted, round(due_at({"eta": getattr(request, "eta", None)}) * 1000))
