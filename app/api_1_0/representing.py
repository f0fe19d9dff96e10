"""Jobs as those who poll are shown them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from flask import current_app, g

from app.api_1_0.ownership import check_owner, own_payload, own_payloads
from app.api_1_0.polling import Representation, etag_of
from app.api_1_0.retry_after import retry_after
from app.api_1_0.schemas import AdminResultSchema, ResultSchema
from app.api_1_0.shown_jobs import ShownJob, ShownJobs
from app.api_keys import Principal, Scope
from app.errors import as_problem
from app.json_values import dumps
from app.languages import answer_is_translated
from app.problem import problem_fields
from libs.flask_celery import ExpiredJobError, JobRecord, JobRecords, UnknownJobError

#: Made once: a schema copies all of its fields when it is made, which takes longer than dumping a job.
_RESULT, _ADMIN_RESULT = ResultSchema(), AdminResultSchema()


def represent_own(principal: Principal, task_id: str) -> Representation:
    """A job as this principal may see it. Raises: as ``own_record``."""
    shown = _shown_job(principal, task_id, own_payload(principal, task_id))
    if shown.record.state.ready:
        return Representation(body=shown.body, etag=shown.etag)
    unfinished = [task_id]
    return Representation(
        body=shown.body, etag=shown.etag, unfinished=unfinished, settled=0, retry_after=retry_after(shown.record)
    )


def represent_own_many(principal: Principal, task_ids: Sequence[str]) -> Representation:
    """Jobs in this order; one that is not there is a problem in its place."""
    bodies: list[bytes] = []
    etags: list[str] = []
    unfinished: dict[str, int] = {}
    for task_id, found in zip(task_ids, own_payloads(principal, task_ids), strict=True):
        try:
            if not isinstance(found, bytes):
                raise found
            shown = _shown_job(principal, task_id, found)
        except (UnknownJobError, ExpiredJobError) as error:
            bodies.append(dumps(_missing(error)).encode())
            etags.append(etag_of(bodies[-1]))
            continue
        bodies.append(shown.body)
        etags.append(shown.etag)
        if not shown.record.state.ready:
            unfinished[task_id] = retry_after(shown.record)
    return Representation(
        body=b'{"results": [%s]}' % b", ".join(bodies),
        etag=etag_of(",".join(etags).encode()),
        unfinished=list(unfinished),
        settled=sum(task_id not in unfinished for task_id in task_ids),
        retry_after=min(unfinished.values(), default=1),
    )


def represent(principal: Principal, record: JobRecord) -> Representation:
    """A job that has been read, as this principal may see it."""
    value = shown_value(principal, record)
    if record.state.ready:
        return Representation(value)
    return Representation(value, [record.task_id], settled=0, retry_after=retry_after(record))


def shown_values(principal: Principal, found: Iterable[JobRecord | UnknownJobError | ExpiredJobError]) -> list[Any]:
    """Jobs in this order, as JSON would have them; one that is not there is a problem in its place."""
    return [shown_value(principal, one) if isinstance(one, JobRecord) else _missing(one) for one in found]


def shown_value(principal: Principal, record: JobRecord) -> Any:
    """The same of one job."""
    schema = _ADMIN_RESULT if Scope.ADMIN in principal.scopes else _RESULT
    return schema.dump(record)


def _missing(error: UnknownJobError | ExpiredJobError) -> dict[str, Any]:
    # Without the request's id, which would make each answer another one.
    return {"task_id": error.task_id, **problem_fields(as_problem(error))}


def _shown_job(principal: Principal, task_id: str, payload: bytes) -> ShownJob:
    """Raises: UnknownJobError for another owner's."""
    facts = g._get_current_object()  # each use looks it up anew
    kept: ShownJobs = current_app._get_current_object().extensions["shown_jobs"]  # type: ignore[attr-defined]
    view = (Scope.ADMIN in principal.scopes, facts.get("locale"), facts.get("zone"))
    shown = kept.find(task_id, payload, view)
    if shown is not None:
        check_owner(principal, shown.record)
        answer_is_translated(facts)
        return shown
    records: JobRecords = current_app.extensions["celery"].backend.records
    record = records.read_alone(task_id, payload)
    says_all = record.task is not None
    if not says_all:
        record = records.read(task_id, payload)
    check_owner(principal, record)
    body = dumps(shown_value(principal, record)).encode()
    shown = ShownJob(replace(record, result=None), body, etag_of(body))
    if says_all:
        kept.keep(task_id, payload, view, shown)
    return shown
