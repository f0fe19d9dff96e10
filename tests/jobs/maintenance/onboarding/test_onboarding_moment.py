"""Moments: what is taken, in which zone, and why the rest is not."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.maintenance.services.onboarding.errors import RowError
from app.jobs.maintenance.services.onboarding.moment import parse_moment

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2024-03-01", datetime(2024, 2, 29, 16, tzinfo=UTC)),
        ("2024/03/01", datetime(2024, 2, 29, 16, tzinfo=UTC)),
        ("20240301", datetime(2024, 2, 29, 16, tzinfo=UTC)),
        (" 2024-03-01 08:30 ", datetime(2024, 3, 1, 0, 30, tzinfo=UTC)),
        ("2024-03-01 08:30:15", datetime(2024, 3, 1, 0, 30, 15, tzinfo=UTC)),
        ("2024/03/01 08:30:15", datetime(2024, 3, 1, 0, 30, 15, tzinfo=UTC)),
        ("2024-03-01T08:30:15.250", datetime(2024, 3, 1, 0, 30, 15, 250_000, tzinfo=UTC)),
        ("2024-03-01T08:30:15Z", datetime(2024, 3, 1, 8, 30, 15, tzinfo=UTC)),
        ("2024-03-01t08:30:15z", datetime(2024, 3, 1, 8, 30, 15, tzinfo=UTC)),
        ("2024-03-01 08:30+01:00", datetime(2024, 3, 1, 7, 30, tzinfo=UTC)),
        ("20240301T083000", datetime(2024, 3, 1, 0, 30, tzinfo=UTC)),
        (datetime(2024, 3, 1, 8, 30), datetime(2024, 3, 1, 0, 30, tzinfo=UTC)),
        (date(2024, 3, 1), datetime(2024, 2, 29, 16, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_and_told_in_utc(cell: object, moment: datetime) -> None:
    found = parse_moment(cell, SHANGHAI)
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("cell", [None, "", "\t "])
def test_a_blank_moment_is_none(cell: object) -> None:
    assert parse_moment(cell, SHANGHAI) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("yesterday", "is not a time"),
        ("2024-02-30", "is not a time"),
        ("2024-03-01 25:00", "is not a time"),
        ("2024-03/01", "is not a time"),
        ("2024-03-01x08:30", "is not a time"),
        ("2024-W09-5", "is not a time"),
        ("03/01/2024", "is not a time"),
        ("45000", "is not a time"),
        ("٢٠٢٤-٠٣-٠١", "is not a time"),
        ("2024-03-01" + " " * 100 + "x", "is not a time"),
        ("0001-01-01", "year 1;"),
        ("1899-12-31", "year 1899"),
        ("9999-12-31", "year 9999"),
        (datetime(1, 1, 1), "year 1;"),
        (45000.5, "format the cell"),
        (time(8, 30), "format the cell"),
        (timedelta(days=1), "format the cell"),
        (True, "format the cell"),
    ],
)
def test_what_is_no_moment_is_refused_with_a_reason(cell: object, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse_moment(cell, SHANGHAI)


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2100, 12, 30)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_an_offset_is_honoured(local: datetime, zone: timezone) -> None:
    moment = local.replace(tzinfo=zone)
    assert parse_moment(moment.isoformat(), SHANGHAI) == moment
    assert parse_moment(local.isoformat(" "), zone) == moment
