"""Jobs as those who poll are shown them."""

from collections.abc import Iterable
from typing import Any

from app.api_1_0.polling import Representation
from app.api_1_0.schemas import AdminResultSchema, ResultSchema
from app.api_keys import Principal, Scope
from app.errors import as_problem, problem_fields
from libs.flask_celery import ExpiredJobError, JobRecord, UnknownJobError


def represent(principal: Principal, record: JobRecord) -> Representation:
    """A job as this principal may see it."""
    value = _shown(principal, record)
    return Representation(value) if record.state.ready else Representation(value, [record.task_id], settled=0)


def represent_many(
    principal: Principal, found: Iterable[JobRecord | UnknownJobError | ExpiredJobError]
) -> Representation:
    """Jobs in this order; one that is not there is a problem in its place."""
    entries, unfinished = [], []
    for one in found:
        if isinstance(one, JobRecord):
            entries.append(_shown(principal, one))
            if not one.state.ready:
                unfinished.append(one.task_id)
        else:
            # Without the request's id, which would make each answer another one.
            entries.append({"task_id": one.task_id, **problem_fields(as_problem(one))})
    return Representation({"results": entries}, unfinished, settled=len(entries) - len(unfinished))


def _shown(principal: Principal, record: JobRecord) -> Any:
    schema = AdminResultSchema if Scope.ADMIN in principal.scopes else ResultSchema
    return schema().dump(record)
