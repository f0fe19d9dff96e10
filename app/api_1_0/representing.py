"""Jobs as those who poll are shown them."""

from collections.abc import Iterable
from typing import Any

from app.api_1_0.polling import Representation
from app.api_1_0.retry_after import retry_after
from app.api_1_0.schemas import AdminResultSchema, ResultSchema
from app.api_keys import Principal, Scope
from app.errors import as_problem
from app.problem import problem_fields
from libs.flask_celery import ExpiredJobError, JobRecord, UnknownJobError

#: Made once: a schema copies all of its fields when it is made, which takes longer than dumping a job.
_RESULT, _ADMIN_RESULT = ResultSchema(), AdminResultSchema()


def represent(principal: Principal, record: JobRecord) -> Representation:
    """A job as this principal may see it."""
    value = _shown(principal, record)
    if record.state.ready:
        return Representation(value)
    return Representation(value, [record.task_id], settled=0, retry_after=retry_after(record))


def represent_many(
    principal: Principal, found: Iterable[JobRecord | UnknownJobError | ExpiredJobError]
) -> Representation:
    """Jobs in this order; one that is not there is a problem in its place."""
    entries: list[Any] = []
    unfinished: dict[str, int] = {}
    settled = 0
    for one in found:
        if isinstance(one, JobRecord):
            entries.append(_shown(principal, one))
            if one.state.ready:
                settled += 1
            else:
                unfinished[one.task_id] = retry_after(one)
        else:
            settled += 1
            # Without the request's id, which would make each answer another one.
            entries.append({"task_id": one.task_id, **problem_fields(as_problem(one))})
    return Representation(
        {"results": entries},
        list(unfinished),
        settled,
        retry_after=min(unfinished.values(), default=1),
    )


def _shown(principal: Principal, record: JobRecord) -> Any:
    schema = _ADMIN_RESULT if Scope.ADMIN in principal.scopes else _RESULT
    return schema.dump(record)
