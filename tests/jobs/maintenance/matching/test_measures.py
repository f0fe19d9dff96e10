"""Quantities in names: one unit per dimension, and what counts as a conflict."""

import pytest

from app.jobs.maintenance.services.matching.measures import conflicting, find_measures


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pump 1 kw", "pump 1000 watts"),
        ("cable 10 m", "cable 1000cm"),
        ("display 32-inch", 'display 32"'),
        ("resistor 4.7kω", "resistor 4700 ohm"),
        ("bolt m8x40", "bolt 8 x 40"),
        ("oven 2.0 cu. ft.", "oven 2 cu ft"),
    ],
)
def test_one_measure_in_two_units(one: str, other: str) -> None:
    assert find_measures(one)[0] == find_measures(other)[0] != frozenset()


@pytest.mark.parametrize(
    "text", ["ps-lx350h", "kdl42v4100", "v8.2.1", "series 5 motor", "ip54", "model x5 v", "1/2 in"]
)
def test_no_measure_in_identifiers(text: str) -> None:
    assert find_measures(text) == (frozenset(), text)


def test_the_rest_is_the_text_without_measures() -> None:
    assert find_measures("pump 1 kw red")[1].split() == ["pump", "red"]


@pytest.mark.parametrize(
    ("one", "other", "dimensions"),
    [
        ("32 inch", "40 inch", ["length"]),
        ("14.7 mp", "14 mp", []),
        ("42 inch", "40 inch", ["length"]),
        ("12 v", "12 a", []),
        ("12 v 2 a", "24 v 5 a", ["current", "voltage"]),
        ("5 m and 10 m", "10 m", []),
        ("m8x40", "m8x45", ["size"]),
        ("8x40", "8x40x2", ["size"]),
    ],
)
def test_conflicts(one: str, other: str, dimensions: list[str]) -> None:
    assert conflicting(find_measures(one)[0], find_measures(other)[0]) == dimensions
