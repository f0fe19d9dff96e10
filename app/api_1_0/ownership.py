"""Reading a job's record as a principal: what is not one's own does not exist."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import current_app

from app.api_keys import Principal
from app.problem import ProblemError
from libs.flask_celery import ExpiredJobError, JobRecord, JobRecords, UnknownJobError


def own_record(principal: Principal, task_id: str) -> JobRecord:
    """Raises: UnknownJobError, for another owner's job too; ExpiredJobError for one's own that is over."""
    record = _records().read(task_id, own_payload(principal, task_id))
    check_owner(principal, record)
    return record


def check_owner(principal: Principal, record: JobRecord) -> None:
    """Raises: UnknownJobError when the job is not this principal's to see."""
    if not principal.owns(record.owner):
        raise UnknownJobError(record.task_id)


def own_payload(principal: Principal, task_id: str) -> bytes:
    """The record as Redis holds it; whose it is must still be checked. Raises: as :func:`own_record`."""
    try:
        return _records().payload(task_id)
    except ExpiredJobError as error:
        if principal.owns(error.owner):
            raise
        raise UnknownJobError(task_id) from error


def own_records(principal: Principal, task_ids: Sequence[str]) -> list[JobRecord | UnknownJobError | ExpiredJobError]:
    """For each id what :func:`own_record` returns or raises."""
    return [
        found if isinstance(found, UnknownJobError) or principal.owns(found.owner) else UnknownJobError(found.task_id)
        for found in _records().get_many(task_ids)
    ]


def own_payloads(principal: Principal, task_ids: Sequence[str]) -> list[bytes | UnknownJobError | ExpiredJobError]:
    """For each id what :func:`own_payload` returns or raises."""
    return [
        UnknownJobError(found.task_id)
        if isinstance(found, ExpiredJobError) and not principal.owns(found.owner)
        else found
        for found in _records().payloads(task_ids)
    ]


def owner_asked_for(principal: Principal, query: Mapping[str, Any]) -> str | None:
    """The argument ``owner``, which may name others only where an admin asks. Raises: ProblemError 403."""
    owner: str | None = query.get("owner")
    if owner is not None and not principal.owns(owner):
        raise ProblemError(HTTPStatus.FORBIDDEN, "Only the scope admin sees what others own. Leave owner out.")
    return owner


def _records() -> JobRecords:
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # each use looks it up anew
    records: JobRecords = app.extensions["celery"].backend.records
    return records
