"""However many processes share a matching, its answer is the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.jobs.maintenance.services.cores.fork import Fork
from app.jobs.maintenance.services.matching import Match, PartText, find_matches
from bench.matching.generator import generate

ROWS = 6_000


@pytest.fixture(scope="module")
def parts() -> list[PartText]:
    return [PartText(**row) for row in generate(ROWS)[0]]


@pytest.fixture(scope="module")
def alone(parts: list[PartText]) -> list[Match]:
    return find_matches(parts, processes=1)


@pytest.mark.parametrize("processes", [2, 3])
def test_the_answer_is_that_of_one_process(processes: int, parts: list[PartText], alone: list[Match]) -> None:
    told: list[int] = []

    matches = find_matches(
        parts, processes=processes, on_progress=lambda current, total, message: told.append(current)
    )

    assert len(matches) > ROWS / 10
    assert matches == alone
    assert told == sorted(told)


@pytest.mark.parametrize(("rows", "forks"), [(1_000, 0), (ROWS, 3)])
def test_only_a_large_table_is_worth_forks(
    rows: int, forks: int, parts: list[PartText], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each of three steps: reading rows, making keys, comparing pairs."""
    begun: list[object] = []
    begin = Fork.__init__

    def counting(self: Fork, work: Callable[[], None]) -> None:
        begun.append(self)
        begin(self, work)

    monkeypatch.setattr(Fork, "__init__", counting)
    monkeypatch.setattr(f"{find_matches.__module__}.usable_processes", lambda: 2)

    find_matches(parts[:rows])

    assert len(begun) == forks
