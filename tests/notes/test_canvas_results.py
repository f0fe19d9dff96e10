"""The results of groups, chains and chords, of callbacks and of jobs that publish jobs: the same on a stock Celery
and here, with real workers. A continuation of ``test_async_result``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.against_stock.systems import System
from tests.conftest import wait_until
from tests.notes.result_systems import working_system

VALUE_ERROR = {"raised": "builtins.ValueError", "args": ["told to fail", "7"]}
OWN_ERROR = {"raised": "tests.notes.result_jobs.NoSuchPartError", "args": ["A-1", "3"]}
TIMEOUT = "celery.exceptions.TimeoutError"


@pytest.fixture(scope="module", params=["stock", "ours"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with working_system(request.param, tmp_path_factory.mktemp(request.param)) as system:
        yield system


def call(system: System, name: str, *arguments: Any) -> Any:
    return system.client.ask(f"tests.notes.canvas_calls:{name}", *arguments)


def wait_for_notes(system: System, label: str) -> list[Any]:
    wait_until(lambda: system.notes(label), what=f"notes of {label}")
    return system.notes(label)


def test_children_are_followed_through_the_tree(system: System) -> None:
    tree = {"children": [0, 1, 4], "leaves": [0, 1, 4], "leaf": 4, "nodes": 5}

    assert call(system, "follow_children") == {"value": True, **tree}


def test_following_stops_at_what_has_not_ended(system: System) -> None:
    assert call(system, "follow_too_early") == ["celery.exceptions.IncompleteStream", TIMEOUT, [True]]


def test_a_chain_leads_back_to_its_beginning(system: System) -> None:
    assert call(system, "run_chain") == {
        "values": [10, 6, 3],
        "first": True,
        "children": True,
        "anew": True,
        "tuple": True,
    }


def test_a_failure_in_a_chain_is_that_of_its_end(system: System) -> None:
    """And of what is between them, which is never published."""
    states = ["SUCCESS", "FAILURE", "FAILURE", "FAILURE"]

    assert call(system, "fail_chain") == {**VALUE_ERROR, "states": states, "not of its parents": VALUE_ERROR}


def test_a_group_counts_its_parts(system: System) -> None:
    values = [2, 20, 4]
    assert call(system, "run_group") == {
        "under way": [False, True, False, False, 3],
        "too early": TIMEOUT,
        "get": values,
        "join": values,
        "native": values,
        "children": True,
        "at the end": [True, False, True, False],
        "parts": [["SUCCESS", True, True, False, value] for value in values],
    }


def test_a_group_is_gone_through_as_its_parts_end(system: System) -> None:
    doubled = [0, 2, 4, 6, 8]
    ended = {"returned": None, "then": [True], "empty": []}

    assert call(system, "iterate_group") == {"native": doubled, "told": doubled, **ended}


def test_a_failure_in_a_group_is_raised_or_returned_in_its_place(system: System) -> None:
    returned = ["2", "NoSuchPartError('A-1', 3)", "4"]
    state = [True, False, True, 2]

    assert call(system, "fail_group") == {
        **OWN_ERROR,
        "join": OWN_ERROR["raised"],
        "returned": returned,
        "state": state,
    }


def test_a_group_is_saved_restored_deleted_and_forgotten(system: System) -> None:
    kept = {"same": True, "values": [2, 4, 6], "deleted": True, "forgotten": ["PENDING"] * 3}

    assert call(system, "keep_group") == kept


def test_a_group_is_revoked_as_a_whole(system: System) -> None:
    raised = {"raised": "celery.exceptions.TaskRevokedError", "args": ["revoked"]}

    assert call(system, "revoke_group") == {"states": ["REVOKED", "REVOKED"], **raised}


CHORDS = {
    "simple": {"value": 6, "parts": [2, 4], "children": 2},
    "empty": {"value": 0},
    "one": {"value": 7},
    "large": {"value": 5050},
    "nested": {"value": 12},
    "group of groups": {"value": [4, 2, 6]},
    "in a chain": {"value": 17},
    "of chains": {"value": 14},
    "group, then a job": {"value": 6},
}


@pytest.mark.parametrize("kind", CHORDS)
def test_a_chord_ends_with_its_body(kind: str, system: System) -> None:
    assert call(system, "run_chord", kind) == CHORDS[kind]


def test_a_failure_in_a_chords_header_is_a_chord_error_of_its_body(system: System) -> None:
    """Asked for with its parents, it is the failure itself."""
    seen = call(system, "fail_chord")

    body, label = seen.pop("body"), seen.pop("label")
    assert seen == {
        "raised": "celery.exceptions.ChordError",
        "anew": "celery.exceptions.ChordError",
        "args": ["Dependency its part raised ValueError('told to fail', 7)"],
        "with its parents": VALUE_ERROR,
        "state": "FAILURE",
        "header": ["SUCCESS", "FAILURE", "SUCCESS"],
    }
    assert wait_for_notes(system, label) == [[body, "ChordError", False]]


def test_a_failure_of_a_chords_body_is_its_own(system: System) -> None:
    assert call(system, "fail_body") == OWN_ERROR


def test_callbacks_are_called_once_each(system: System) -> None:
    seen = call(system, "call_back")

    label, failed = seen["label"], seen["failed"]
    assert seen["linked"] == [[13, 3]]
    assert wait_for_notes(system, label) == [3]
    assert wait_for_notes(system, f"{label}-error") == [[failed, "NoSuchPartError", True]]
    assert wait_for_notes(system, f"failed-{failed}") == [failed]
    assert system.notes(f"{label}-not") == []
