"""Jobs as those who poll are shown them."""

from app.api_1_0.polling import Representation
from app.api_1_0.schemas import AdminResultSchema, ResultSchema
from app.api_keys import Principal, Scope
from libs.flask_celery import JobRecord


def represent(principal: Principal, record: JobRecord) -> Representation:
    """A job as this principal may see it."""
    schema = AdminResultSchema if Scope.ADMIN in principal.scopes else ResultSchema
    value = schema().dump(record)
    return Representation(value) if record.state.ready else Representation(value, [record.task_id], settled=0)
