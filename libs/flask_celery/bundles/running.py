"""What runs in the pool's process: the bundle's jobs, one after the other, as if each had come alone."""

from collections.abc import Sequence
from typing import Any, Final

from billiard.einfo import ExceptionInfo
from celery import current_app
from celery.app.trace import fast_trace_task

from libs.flask_celery.bundles.tokens import Handle, take

#: In the place of Celery's own 0 and 1: the run has raised instead of ending (``celery/app/trace.py``,
#: ``fast_trace_task``).
RAISED: Final = -1

#: What Celery passes for one job: task, id, request, body, content type, content encoding.
Run = tuple[Any, ...]

#: What it returns of one: 0, the result's text and the seconds it took; 1 and the error; RAISED and the error.
End = tuple[int, Any, float]


def run_bundle(tokens: Handle, runs: Sequence[Run]) -> dict[int, End]:
    """Run all of which nobody takes the token first.

    What the jobs have come to is stored by the time this returns; the ends of several may be stored in one step.

    Returns: how those ended that this process has run, by their place. Raises: what ends the process, and redis-py's
        errors when an end could not be stored.
    """
    ends: dict[int, End] = {}
    with current_app.backend.ends_together():
        while (place := take(tokens)) is not None:
            try:
                ends[place] = fast_trace_task(*runs[place])
            except Exception:  # noqa: BLE001 - as billiard's pool does with what a call raises
                ends[place] = RAISED, ExceptionInfo(), 0.0
    return ends
