"""Rivals, groups and the least a pair must bring."""

from app.jobs.maintenance.services.matching.evidence import Evidence
from app.jobs.maintenance.services.matching.resolution import resolve


def clean(log_odds: float) -> Evidence:
    return Evidence(log_odds, contradicted=False, reason="")


def doubtful(log_odds: float) -> Evidence:
    return Evidence(log_odds, contradicted=True, reason="")


def test_a_pair_below_the_least_is_dropped() -> None:
    assert set(resolve({(0, 1): clean(0.9), (2, 3): clean(1.0)}, 1.0)) == {(2, 3)}


def test_a_pair_gives_way_to_a_clearly_better_one_of_either_row() -> None:
    assert set(resolve({(0, 1): clean(5), (1, 2): clean(3)}, 0)) == {(0, 1)}
    assert set(resolve({(0, 2): clean(3), (1, 2): clean(5)}, 0)) == {(1, 2)}


def test_a_pair_nearly_as_good_stays() -> None:
    assert len(resolve({(0, 1): clean(5), (1, 2): clean(4.8)}, 0)) == 2


def test_a_group_without_contradiction_stays_whole() -> None:
    assert len(resolve({(0, 1): clean(5), (1, 2): clean(3), (0, 2): clean(2)}, 0)) == 3


def test_a_contradicted_pair_has_no_part_in_a_group() -> None:
    assert set(resolve({(0, 1): clean(5), (1, 2): doubtful(3), (0, 2): clean(2)}, 0)) == {(0, 1)}
