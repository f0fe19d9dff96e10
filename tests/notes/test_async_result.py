"""``AsyncResult`` and what is built on it: the same on a stock Celery and here, with real workers.

Each test asks a process that publishes for one of the calls in ``result_calls`` and its like. What differs on purpose
is said with ``unlike``, and stands in docs/wire.md. Groups, chains and chords are in ``test_canvas_results``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.against_stock.systems import System
from tests.notes.result_systems import unlike, working_system

FAILED = ["FAILURE", True, False, True]
TIMEOUT = {"raised": "celery.exceptions.TimeoutError", "args": ["The operation timed out."]}
#: state, ready, successful, failed, result, has a traceback, info is the result, date_done
NOTHING_KNOWN = ["PENDING", False, False, False, None, False, True, None]


@pytest.fixture(scope="module", params=["stock", "ours"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with working_system(request.param, tmp_path_factory.mktemp(request.param)) as system:
        yield system


def call(system: System, name: str, *arguments: Any) -> Any:
    return system.client.ask(f"tests.notes.result_calls:{name}", *arguments)


def test_a_job_is_seen_in_each_of_its_states(system: System) -> None:
    """Stock keeps names and retries with ``result_extended`` alone, and the arguments with them."""
    expected = unlike(system, stock={"retries": None, "name": None}, ours={"retries": 1, "name": "result.live"})
    assert call(system, "whole_life") == {
        "PENDING": NOTHING_KNOWN,
        "STARTED": ["STARTED", False, False, False, ["hostname", "pid"], False, True, None],
        "COUNTING": ["COUNTING", False, False, False, {"current": 1, "total": 3}, False, True, None],
        "RETRY": ["RETRY", False, False, False, "ValueError('not yet')", True, True, None],
        "SUCCESS": ["SUCCESS", True, True, False, "the end", False, True],
        "date_done": True,
        **expected,
    }


def test_get_gives_up_after_its_timeout_and_the_job_goes_on(system: System) -> None:
    assert call(system, "give_up_waiting") == {"in time": True, "state": "STARTED", "at last": "a value", **TIMEOUT}


@pytest.mark.parametrize(
    ("which", "cls", "args", "attributes"),
    [
        ("builtin", "builtins.ValueError", ["told to fail", "7"], {}),
        ("own", "tests.notes.result_jobs.NoSuchPartError", ["A-1", "3"], {"code": "A-1", "shelf": 3}),
    ],
)
def test_a_failure_is_raised_as_the_jobs_own_exception_or_returned(
    which: str, cls: str, args: list[str], attributes: dict[str, Any], system: System
) -> None:
    seen = call(system, "get_failure", which)

    begin, end = seen.pop("traceback")
    assert begin == "Traceback (most recent call last):"
    assert end.startswith(cls.removeprefix("builtins."))
    assert seen == {
        "raised": cls,
        "args": args,
        "returned": cls,
        "read anew": cls,
        "attributes": attributes,
        "failed": FAILED,
    }


WRAPPED = "celery.utils.serialization.UnpickleableExceptionWrapper"


@pytest.mark.parametrize("which", ["picky", "unheard of"])
def test_what_cannot_be_made_again_is_raised_as_the_nearest(which: str, system: System) -> None:
    """Stock stores what it has wrapped it in to cross from the child process."""
    expected = unlike(
        system,
        stock={"picky": (WRAPPED, 4), "unheard of": (WRAPPED, 4)},
        ours={
            "picky": ("celery.exceptions.PickyError", ["this and that"]),
            "unheard of": ("celery.exceptions.UnheardOfError", ["whoever you are"]),
        },
    )
    cls, args = expected[which]

    seen = call(system, "get_failure", which)

    assert (seen["raised"], seen["returned"], seen["read anew"], seen["failed"]) == (cls, cls, cls, FAILED)
    assert seen["args"] == args or len(seen["args"]) == args


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")])
def test_what_is_no_exception_is_never_called(module: str, name: str, system: System) -> None:
    """Nor does it hinder anybody from reading the job's state."""
    mark = system.folder / f"called {system.name}"
    refused = "celery.exceptions.SecurityError"

    seen = call(system, "read_stored", module, name, [f"touch '{mark}'"])

    assert seen["raised"] == refused
    assert seen["state"] == unlike(system, stock=refused, ours="FAILURE")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_reading_a_record_ends_nothing(name: str, system: System) -> None:
    expected = unlike(system, stock="stopped by", ours="raised")
    seen = call(system, "read_stored", "builtins", name, [])

    assert seen[expected] == {"stopped by": f"builtins.{name}", "raised": f"celery.exceptions.{name}"}[expected]


def test_reading_a_record_loads_nothing(system: System) -> None:
    expected = unlike(system, stock=["builtins.ValueError", True], ours=["celery.exceptions.LazyError", False])
    assert call(system, "read_lazily") == expected


def test_date_done_is_in_the_configured_zone(system: System) -> None:
    """Stock stores it in the zone of the worker; here it is stored in UTC and read in the zone of the reader."""
    expected = unlike(system, stock="+08:00", ours="+00:00")
    assert call(system, "tell_the_time") == {
        "offsets": [8, 8],
        "right": True,
        "same moment": True,
        "stored": expected,
    }


@pytest.mark.parametrize(("call_name", "reason"), [("revoke_waiting", "revoked"), ("revoke_running", "terminated")])
def test_a_job_that_is_revoked_raises_that(call_name: str, reason: str, system: System) -> None:
    raised = {"raised": "celery.exceptions.TaskRevokedError", "args": [reason]}

    assert call(system, call_name) == {"state": "REVOKED", "failed": False, **raised}


def test_what_has_ended_cannot_be_revoked(system: System) -> None:
    assert call(system, "revoke_ended") == ["SUCCESS", "kept"]


def test_a_job_that_nobody_knows_is_pending_for_ever(system: System) -> None:
    assert call(system, "get_unknown") == {"look": NOTHING_KNOWN, "exists": False, **TIMEOUT}


@pytest.mark.parametrize("how", ["forgotten", "expired"])
def test_a_job_that_is_gone_is_as_one_that_nobody_knows(how: str, system: System) -> None:
    """To Python. Here the ledger still tells the one from the other: over HTTP it is a 410, not a 404."""
    seen = call(system, "get_gone", how)

    task_id = seen.pop("id")
    assert seen == {"before": True, "look": NOTHING_KNOWN, "exists": False, **TIMEOUT}
    ledger = system.results.hgetall(f"taskgate-job-{task_id}")
    assert ledger.get("state") == (None if system.name == "stock" else "SUCCESS")


def test_nobody_waits_for_a_result_that_is_ignored(system: System) -> None:
    expected = unlike(system, stock=["PENDING", None], ours=["SUCCESS", None])
    assert call(system, "get_ignored") == {"at once": [None, "PENDING"], "in the end": expected}


def test_whoever_waits_is_called_back(system: System) -> None:
    """Stock is subscribed from the publish on, and tells of what was said before anybody waited, too."""
    expected = unlike(system, stock=["STARTED"], ours=[])
    assert system.client.ask("tests.notes.waiting_calls:watch_waiting") == {
        "value": "the end",
        "said": [*expected, "COUNTING", "SUCCESS"],
        "ended": [["then", True], ["callback", True, "the end"]],
    }


def test_a_callback_may_break_off_waiting(system: System) -> None:
    raised = {"raised": "builtins.InterruptedError", "args": ["enough"]}

    assert system.client.ask("tests.notes.waiting_calls:break_off") == {**raised, "at last": "a value"}


def test_threads_wait_side_by_side(system: System) -> None:
    assert system.client.ask("tests.notes.waiting_calls:get_from_threads", 8) == {
        "common": True,
        "own": list(range(8)),
    }


def test_waiting_outlives_a_restart_of_redis(system: System) -> None:
    system.client.ask("tests.notes.waiting_calls:begin_to_wait")
    system.redis.stop(kill=True)
    system.client.ask("tests.notes.waiting_calls:notice_the_loss")
    system.redis.start()

    assert system.client.ask("tests.notes.waiting_calls:end_of_waiting") == {"value": "a value"}
