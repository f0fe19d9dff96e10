"""What is timed of a job as its states are stored: how long it waited, and how long its runs took."""

from collections.abc import Mapping
from typing import Any

from celery import states

from libs.flask_celery.delays import due_at


def timed(state: str, meta: Mapping[str, Any], request: Any, now: int) -> int | str:
    """In ms, or '' where nobody knows: of a run that ends, what it took; of one that starts, what the job waited.

    A job that was submitted for later waits from then on. The hosts' clocks must agree, as NTP has them.
    """
    if not meta.get("name"):
        return ""
    if state == states.STARTED:
        return waited(meta, request, now)
    since = meta.get("started_at")
    return max(now - since, 0) if since else ""


def waited(meta: Mapping[str, Any], request: Any, started_at: int) -> int | str:
    """How long the job had waited when its run began, in ms, or '' where nobody knows."""
    since = _could_run(meta, request) if meta.get("name") else None
    return max(started_at - since, 0) if since else ""


def _could_run(meta: Mapping[str, Any], request: Any) -> int | None:
    submitted: int | None = meta.get("submitted_at")
    if submitted is None:
        return None
    return max(submitted, round(due_at({"eta": getattr(request, "eta", None)}) * 1000))
