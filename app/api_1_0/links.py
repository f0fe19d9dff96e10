"""Addresses within this API, as clients see them: relative, so that a proxy's host name need not be known."""

import re
from functools import lru_cache
from urllib.parse import quote

PREFIX = "/api/1.0"

#: What needs no quoting (RFC 3986, unreserved).
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")


def task_url(task: str) -> str:
    """What can be submitted."""
    return f"{PREFIX}/tasks/{_segment(task)}"


def submit_url(task: str) -> str:
    """Where to submit it."""
    return f"{PREFIX}/tasks/{_segment(task)}/jobs"


def result_url(task_id: str) -> str:
    """The poll."""
    return f"{PREFIX}/results/{_segment(task_id)}"


def events_url(task_id: str) -> str:
    """Its events as they come."""
    return f"{result_url(task_id)}/events"


def logs_url(task_id: str) -> str:
    """What it has logged."""
    return f"{PREFIX}/jobs/{_segment(task_id)}/logs"


def cancel_url(task_id: str) -> str:
    """DELETE cancels."""
    return f"{PREFIX}/jobs/{_segment(task_id)}"


def retry_url(task_id: str) -> str:
    """POST runs it again."""
    return f"{PREFIX}/jobs/{_segment(task_id)}/retry"


def batch_url(batch_id: str) -> str:
    """A batch: its jobs by state; DELETE cancels."""
    return f"{PREFIX}/batches/{_segment(batch_id)}"


def schedule_url(schedule_id: str) -> str:
    """One schedule."""
    return f"{PREFIX}/schedules/{_segment(schedule_id)}"


def file_url(task_id: str, name: str) -> str:
    """One file that a job produced."""
    return f"{result_url(task_id)}/files/{_segment(name)}"


def delivery_url(delivery_id: str) -> str:
    """What came of a webhook."""
    return f"{PREFIX}/webhooks/deliveries/{_segment(delivery_id)}"


@lru_cache(maxsize=256)  # an answer has several of the same job
def _segment(text: str) -> str:
    # Ids are plain, and quote() goes through them letter by letter.
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")
