"""Which uploads are named by jobs that have not ended."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from libs.flask_celery import unfinished_params


def uploads_in_use(celery_app: Any, owner: str, file_ids: Iterable[str]) -> dict[str, str]:
    """Of these uploads of the owner's, each that is in use, with the id of a job that names it.

    An id may be written in several ways (``uuid.UUID``), and stand anywhere in the params.
    Raises: redis-py's connection errors.
    """
    wanted = {UUID(file_id).hex.encode(): file_id for file_id in file_ids}
    used: dict[str, str] = {}
    for task_id, params in unfinished_params(celery_app, owner):
        compact = params.lower().replace(b"-", b"")
        for digits, file_id in wanted.items():
            if file_id not in used and digits in compact:
                used[file_id] = task_id
        if len(used) == len(wanted):
            break
    return used
