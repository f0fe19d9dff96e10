"""Our fields in a job's record, beside Celery's own."""

from collections.abc import Mapping
from typing import Any

from kombu.serialization import dumps as serialized

from libs.flask_celery.delays import due_at
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.message_copy import compact
from libs.flask_celery.states import JobState

#: What a state stored from outside of a run must not lose.
KEPT_FIELDS = (
    *(
        "name",
        "queue",
        "retries",
        "owner",
        "submitted_at",
        "request_id",
        "retry_of",
        "batch_id",
        "schedule_id",
        "started_at",
        "progress",
        "files",
    ),
)


def pending_meta(headers: Mapping[str, Any], facts: SubmissionFacts, queue: str) -> dict[str, Any]:
    """The record of a job that has just been accepted, from the headers of its message."""
    told = {
        "status": JobState.PENDING.value,
        "result": None,
        "traceback": None,
        "children": [],
        "date_done": None,
        "task_id": headers["id"],
        "name": headers["task"],
        "queue": queue,
        "retries": headers.get("retries") or 0,
        "owner": facts.owner,
        "submitted_at": facts.submitted_at,
        "request_id": facts.request_id,
    }
    of_some = {
        "next_run_at": round(due_at(headers) * 1000) or None,
        "retry_of": facts.retry_of,
        "batch_id": facts.batch_id,
        "schedule_id": facts.schedule_id,
    }
    # Of most jobs there is none of it, and a million queued ones would say so in 100 MB.
    return told | {name: value for name, value in of_some.items() if value is not None}


def pending_record(headers: Mapping[str, Any], facts: SubmissionFacts, queue: str, serializer: str = "json") -> Any:
    """As it is stored; JSON without the spaces that nobody needs."""
    meta = pending_meta(headers, facts, queue)
    return compact(meta) if serializer == "json" else serialized(meta, serializer=serializer)[-1]


def fields_of_caller() -> dict[str, Any]:
    """Of a job that ended before it was published: the rest of a chain, or the body of a chord, that failed."""
    facts = SubmissionFacts.of_caller()
    return {"owner": facts.owner, "submitted_at": facts.submitted_at, "request_id": facts.request_id}


def fields_of_request(request: Any) -> dict[str, Any]:
    """Of a job that runs, from its message and from what it has said."""
    facts = SubmissionFacts.of_request(request)
    delivery = getattr(request, "delivery_info", None) or {}
    job = getattr(request, "active_job", None)
    fields: dict[str, Any] = {
        "name": request.task,
        "queue": delivery.get("routing_key"),
        "retries": getattr(request, "retries", 0) or 0,
        "worker": getattr(request, "hostname", None),
        "owner": facts.owner if facts else "",
        "submitted_at": facts.submitted_at if facts else None,
        "request_id": facts.request_id if facts else None,
        "retry_of": facts.retry_of if facts else None,
        "batch_id": facts.batch_id if facts else None,
        "schedule_id": facts.schedule_id if facts else None,
    }
    if job is not None:
        fields.update(job.record_fields())
    return fields
