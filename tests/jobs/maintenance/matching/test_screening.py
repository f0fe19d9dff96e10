"""Screening leaves out no pair that the full comparison would keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from app.jobs.maintenance.services.matching.evidence import weigh
from app.jobs.maintenance.services.matching.profiles import Table, profile_table
from app.jobs.maintenance.services.matching.records import PartText
from app.jobs.maintenance.services.matching.screening import Screen
from app.jobs.maintenance.services.matching.tokens import tokenise
from bench.matching.generator import generate

words = st.sampled_from(
    [
        "pump",
        "motor",
        "pmup",
        "cp3205",
        "cp-3205/b",
        "cp3205a",
        "cp3206",
        "xh",
        "a1s",
        "xha1s",
        "sc1ab",
        "sc1ab1",
        "m8x40",
        "m8x45",
        "12v",
        "24",
        "red",
        "blue",
        "0.5",
        "933",
        "螺栓",
    ]
)
names = st.lists(words, max_size=6).map(" ".join)
prices = st.none() | st.sampled_from([0.0, -1.0, 1.0, 1.1, 9.0, float("inf"), float("nan")])
rows = st.lists(
    st.tuples(names, names, st.sampled_from(["", "elmark", "elmark gmbh", "novaplex"]), prices),
    min_size=2,
    max_size=9,
)


def profiled(rows: list[tuple[str, str, str, float | None]]) -> Table:
    parts = [PartText(f"P{number}", *row) for number, row in enumerate(rows)]
    return profile_table([tokenise(part) for part in parts], [part.price for part in parts])


def likeness(table: Table, left: int, right: int) -> float:
    ratio = fuzz.token_sort_ratio(table.profiles[left].name, table.profiles[right].name)
    return max(0.0, ratio / 50 - 1) * 0.95


def assert_none_is_lost(table: Table, pairs: list[tuple[int, int]], lowest: float) -> int:
    left, right = np.array(pairs).T
    chosen, alike = Screen(table).promising(left, right, lowest)
    screened = {pairs[at]: similarity for at, similarity in zip(chosen.tolist(), alike.tolist(), strict=True)}
    for one, other in pairs:
        full = weigh(table.profiles[one], table.profiles[other], table, likeness(table, one, other))
        if full.log_odds >= lowest:
            found = weigh(table.profiles[one], table.profiles[other], table, screened[one, other])
            assert found.reason == full.reason
            assert found.log_odds == pytest.approx(full.log_odds, abs=1e-5)
    return len(screened)


@settings(max_examples=300, deadline=None)
@given(rows, st.sampled_from([-6.0, -2.0, 0.0, 3.0]))
def test_every_pair_that_comes_to_the_least_is_promising(
    rows: list[tuple[str, str, str, float | None]], lowest: float
) -> None:
    table = profiled(rows)
    count = len(table.profiles)

    assert_none_is_lost(
        table, [(one, other) for one in range(count) for other in range(count) if one < other], lowest
    )


def test_most_pairs_of_a_catalogue_need_no_closer_look() -> None:
    table = profiled(
        [(row["name"], row["description"], row["manufacturer"], row["price"]) for row in generate(250)[0]]
    )
    pairs = [(one, other) for one in range(250) for other in range(one + 1, 250)]

    assert assert_none_is_lost(table, pairs, -2.0) < len(pairs) / 20
