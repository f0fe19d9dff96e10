"""Figures against the statistics module, which knows nothing of numpy."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.monitoring.services.reducing import (
    MOST_POINTS,
    Figures,
    Reading,
    rates,
    reduce_readings,
    thin_out,
)

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)

VALUES = st.floats(0, 1e9, allow_nan=False)


def readings(*values: float | None) -> list[Reading]:
    """One a minute from noon on."""
    return [Reading(NOON + timedelta(minutes=number), value) for number, value in enumerate(values)]


@given(st.lists(VALUES, min_size=2, max_size=200))
def test_percentiles_are_those_of_the_statistics_module(values: list[float]) -> None:
    figures = reduce_readings(readings(*values))

    hundredths = statistics.quantiles(values, n=100, method="inclusive")
    expected = (min(values), statistics.median(values), hundredths[94], hundredths[98])
    assert (figures.min, figures.median, figures.p95, figures.p99) == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(st.lists(st.none() | VALUES, max_size=100))
def test_figures_lie_among_the_readings_and_in_order_and_count_failures(values: list[float | None]) -> None:
    figures = reduce_readings(readings(*values))

    there = [value for value in values if value is not None]
    assert (figures.samples, figures.failed) == (len(values), values.count(None))
    if values:
        assert figures.availability == pytest.approx(len(there) / len(values), abs=1e-6)
    if there:
        ordered = [figures.min, figures.median, figures.p95, figures.p99]
        assert ordered == sorted(ordered)  # type: ignore[type-var]
        assert min(there) - 0.001 <= ordered[0] <= ordered[3] <= max(there) + 0.001  # type: ignore[operator]
    else:
        assert (figures.min, figures.median, figures.p95, figures.p99) == (None,) * 4


def test_percentiles_are_interpolated() -> None:
    """Of 1 to 5 the nearest rank would say 5 for both."""
    assert reduce_readings(readings(5, 1, 4, 2, 3)) == Figures(5, 0, 1, 3, 4.8, 4.96)


def test_of_one_reading_each_figure_is_that_reading() -> None:
    assert reduce_readings(readings(7.5)) == Figures(1, 0, 7.5, 7.5, 7.5, 7.5)


def test_of_none_there_is_no_figure() -> None:
    assert reduce_readings([]) == Figures(0, 0, None, None, None, None)
    assert reduce_readings([]).availability is None


def test_failures_count_in_the_availability_and_nowhere_else() -> None:
    figures = reduce_readings(readings(10, None, 30, None))

    assert figures == Figures(4, 2, 10, 20, 29, 29.8)
    assert figures.availability == 0.5
    assert reduce_readings(readings(None, None)).availability == 0.0


def test_a_short_series_has_each_reading() -> None:
    series = thin_out(readings(1, None, 3), start=NOON, end=NOON + timedelta(hours=1))

    assert series.at == ("2026-11-27T12:00:00Z", "2026-11-27T12:01:00Z", "2026-11-27T12:02:00Z")
    assert series.value == (1, None, 3)
    assert series.failed == (0, 1, 0)


@given(st.lists(st.none() | VALUES, min_size=1, max_size=2_000), st.integers(1, 5))
def test_a_long_series_has_few_points_and_no_failure_is_lost(values: list[float | None], longer: int) -> None:
    end = NOON + timedelta(minutes=len(values) * longer)

    series = thin_out(readings(*values), start=NOON, end=end)

    assert len(series.at) == len(series.value) == len(series.failed) <= MOST_POINTS
    assert sum(series.failed) == values.count(None)
    assert list(series.at) == sorted(series.at)


def test_counters_become_rates_and_begin_anew_with_their_host() -> None:
    counted = rates(readings(600, 1_200, 1_200, 60, 120))

    assert [(reading.at.minute, reading.value) for reading in counted] == [(1, 10), (2, 0), (4, 1)]
    assert rates(readings(5)) == []
    assert rates([*readings(5), *readings(6)]) == []  # twice at the same time
