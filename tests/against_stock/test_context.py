"""Flask's context in jobs.

Stock, with the Task class of Flask's manual: only ``run`` is in an app context. A job that a request runs itself is
in a second one, where its caller's ``g`` and database session are not. What Celery calls in the worker's parent
process, because the child is gone, is in none.
"""

from __future__ import annotations

from typing import Any

from tests.against_stock.systems import System, contrast
from tests.conftest import wait_until

#: What Celery calls, in the order of a run.
CALLS = {
    "success": ("before_start", "run", "on_success", "after_return"),
    "failure": ("before_start", "run", "on_failure", "after_return"),
    "retry": ("before_start", "run", "on_retry", "before_start", "run", "on_success", "after_return"),
}


def observe_hooks(system: System) -> set[str]:
    """The calls that were made in an app context."""
    system.start_worker("--pool", "solo", "--concurrency", "1")
    in_context: set[str] = set()
    for outcome, calls in CALLS.items():
        job = system.publish("probe.tell_hooks", outcome)
        wait_until(lambda: len(system.notes(job)) >= len(calls), timeout=60, what=f"{calls} of {outcome}")  # noqa: B023
        notes = system.notes(job)
        assert tuple(note["hook"] for note in notes) == calls
        in_context |= {note["hook"] for note in notes if note["context"]}
        assert in_context.isdisjoint(note["hook"] for note in notes if not note["context"])
    return in_context


@contrast(stock={"run"}, ours={"run", "before_start", "on_success", "on_failure", "on_retry", "after_return"})
def test_every_hook_is_in_an_app_context(system: System, expected: set[str]) -> None:
    assert observe_hooks(system) == expected


@contrast(
    stock={"on_failure": False, "after_return": False},
    ours={"on_failure": True, "after_return": True},
)
def test_hooks_in_the_workers_parent_process_are_in_an_app_context(system: System, expected: dict[str, bool]) -> None:
    worker = system.start_worker("--pool", "prefork", "--concurrency", "1")
    job = system.publish("probe.tell_hooks", "hang", time_limit=1)
    assert system.ended(job) == "FAILURE"

    def in_parent() -> list[Any]:
        return [note for note in system.notes(job) if note["pid"] == worker.process.pid]

    wait_until(lambda: len(in_parent()) == len(expected), what="the hooks")
    assert {note["hook"]: note["context"] for note in in_parent()} == expected


@contrast(
    stock={"caller": None, "same session": False},
    ours={"caller": "ann", "same session": True},
)
def test_a_job_that_a_request_runs_itself_sees_the_requests_context(
    system: System, expected: dict[str, object]
) -> None:
    assert system.client.ask("run_in_request") == expected
