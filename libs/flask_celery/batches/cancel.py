"""Cancelling many jobs in few round trips; what ``JobRecords.cancel`` does for one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from libs.flask_celery.broker_side import forget_delayed
from libs.flask_celery.record_scripts import CANCEL
from libs.flask_celery.server_script import run_pipelined
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin


def cancel_jobs(backend: "JobBackendMixin", task_ids: Sequence[str], *, terminate: bool) -> None:
    """Cancel those that are not final. Raises: redis-py's connection errors; what was cancelled by then stays so."""
    keys = backend.keys
    metas = [
        backend.decode(payload)
        for payload in backend.client.mget([keys.meta(task_id) for task_id in task_ids])
        if payload is not None
    ]
    under_way = [meta for meta in metas if meta["status"] not in _FINAL]
    calls = [backend.cancel_call(meta["task_id"], meta, terminate=terminate) for meta in under_way]
    answers = run_pipelined(backend.client, CANCEL, calls)
    for meta, (outcome, _, due) in zip(under_way, answers, strict=True):
        backend.submit_then(due)
        if outcome == b"REVOKED" and meta.get("next_run_at"):
            forget_delayed(backend.app, meta["task_id"])


_FINAL = frozenset(state.value for state in JobState if state.ready)
