"""What the records say about files: which of a job's are still wanted, and what unfinished jobs were given."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kombu.compression import decompress
from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.message_copy import expanded, payload_of
from libs.flask_celery.records import record_from_meta
from libs.flask_celery.states import FINAL_STATES

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

_STEP = 500


def kept_files(celery_app: "FlaskCelery", task_ids: Sequence[str]) -> dict[str, frozenset[str] | None]:
    """For each job that is known, the keys of the files that belong to its result; None while it is not final.

    None are kept of a job whose result has expired. A job that is not among the keys is not known at all.
    Raises: redis-py's connection errors.
    """
    backend = celery_app.backend
    kept: dict[str, frozenset[str] | None] = {}
    if not task_ids:
        return kept
    metas = backend.client.mget([backend.keys.meta(task_id) for task_id in task_ids])
    with backend.client.pipeline(transaction=False) as pipe:
        for task_id in task_ids:
            pipe.hget(backend.keys.ledger(task_id), "state")
        states = pipe.execute()
    for task_id, meta, state in zip(task_ids, metas, states, strict=True):
        if meta is not None:
            record = record_from_meta(task_id, backend.decode(meta))
            kept[task_id] = frozenset(file.key for file in record.files) if record.state.ready else None
        elif state is not None:
            kept[task_id] = frozenset() if bytes_to_str(state) in FINAL_STATES else None
    return kept


def unfinished_params(celery_app: "FlaskCelery", owner: str) -> Iterator[tuple[str, bytes]]:
    """Each of the owner's jobs that is not final, with its params as they are serialised in its message.

    Raises: redis-py's connection errors.
    """
    backend = celery_app.backend
    task_ids = backend.client.zinter([backend.keys.owner(owner), backend.keys.unfinished])
    for start in range(0, len(task_ids), _STEP):
        some = [bytes_to_str(task_id) for task_id in task_ids[start : start + _STEP]]
        copies = backend.client.mget([backend.keys.message(task_id) for task_id in some])
        for task_id, copy in zip(some, copies, strict=True):
            if copy is None:
                continue
            message, _ = expanded(copy)
            compression = message["headers"].get("compression")
            payload = payload_of(message)
            yield task_id, decompress(payload, compression) if compression else payload
