"""Reading a job's record as a principal: what is not one's own does not exist."""

from flask import current_app

from app.api_keys import Principal
from libs.flask_celery import ExpiredJobError, JobRecord, UnknownJobError


def own_record(principal: Principal, task_id: str) -> JobRecord:
    """Raises: UnknownJobError, for another owner's job too; ExpiredJobError for one's own that is over."""
    try:
        record: JobRecord = current_app.extensions["celery"].backend.records.get(task_id)
    except ExpiredJobError as error:
        if principal.owns(error.owner):
            raise
        raise UnknownJobError(task_id) from error
    if not principal.owns(record.owner):
        raise UnknownJobError(task_id)
    return record
