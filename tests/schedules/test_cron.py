"""When a cron comes, on ordinary days and on those on which clocks change."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.flask_celery import Cron, CronError
from libs.flask_celery.schedules.stored import as_timing, read_json, write_json


def coming(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next times by the zone's clock, with their offsets."""
    times = Cron(expression, zone).times_after(datetime.fromisoformat(after))
    return [time.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for time in islice(times, count)]


#: Clocks go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October in Berlin.
@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # What the clock leaves out comes when it has changed, once.
        ("30 2 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "30 02:30+0200"]),
        ("0,30 2,3 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "29 03:30+0200", "30 02:00+0200"]),
        ("*/30 2 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "30 02:00+0200"]),
        ("30 */2 * * *", "2026-03-28T23:00Z", ["29 00:30+0100", "29 03:00+0200", "29 04:30+0200"]),
        # What it shows twice comes the first time, asked for at any moment.
        ("30 2 * * *", "2026-10-24T12:00Z", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 2 * * *", "2026-10-25T00:29Z", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 2 * * *", "2026-10-25T00:30Z", ["26 02:30+0100"]),
        ("30 2 * * *", "2026-10-25T01:10Z", ["26 02:30+0100"]),
        ("*/30 2 * * *", "2026-10-24T23:00Z", ["25 02:00+0200", "25 02:30+0200", "26 02:00+0100"]),
        # What comes in every hour comes in every hour that passes.
        ("30 * * * *", "2026-03-29T00:00Z", ["29 01:30+0100", "29 03:30+0200", "29 04:30+0200"]),
        ("30 * * * *", "2026-10-25T00:00Z", ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        ("30 0-23 * * *", "2026-10-25T00:00Z", ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
    ],
)
def test_days_on_which_clocks_change(expression: str, after: str, expected: list[str]) -> None:
    assert coming(expression, "Europe/Berlin", after, len(expected)) == expected


def test_a_change_of_half_an_hour_and_a_day_that_is_left_out() -> None:
    assert coming("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T18:00Z", 2) == ["04 02:30+1100", "05 02:15+1100"]
    assert coming("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00Z", 1) == ["31 00:00+1400"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 10,17 * * *", ["05 10:00+0800", "05 17:00+0800", "06 10:00+0800"]),
        ("0 0 13 * 5", ["06 00:00+0800", "13 00:00+0800"]),  # either, as cron has it
        ("0 0 * * mon-fri/2", ["06 00:00+0800", "09 00:00+0800"]),
        ("0 0 L * *", ["28 00:00+0800", "31 00:00+0800"]),
        ("0 0 * * MON#2", ["09 00:00+0800", "09 00:00+0800"]),
        ("0 0 29 feb *", ["29 00:00+0800"]),
    ],
)
def test_what_an_expression_says(expression: str, expected: list[str]) -> None:
    assert coming(expression, "Asia/Shanghai", "2026-02-04T18:00Z", len(expected)) == expected


def test_celerys_crontab_means_what_it_means_there() -> None:
    """A day must fit both of its fields."""
    timing = as_timing(crontab(minute="*/15", hour="9-17", day_of_month="1-7", day_of_week="mon"), "Europe/Berlin")

    assert isinstance(timing, Cron)
    first = timing.next_after(datetime(2026, 2, 3, tzinfo=UTC))
    assert first == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert read_json(write_json({"timing": timing}))["timing"] == timing


@pytest.mark.parametrize(
    "expression", ["*/0 * * * *", "1-", "", "* * * * * *", "1,,2 * * * *", "٣ * * * *", "0 " * 200]
)
def test_what_is_no_cron(expression: str) -> None:
    with pytest.raises(CronError):
        Cron(expression)


def test_what_celerys_own_schedulers_are_told() -> None:
    timing = Cron("0 10 * * *", "Asia/Shanghai", nowfun=lambda: datetime(2026, 5, 4, 1, 0, tzinfo=UTC))

    assert timing.is_due(datetime(2026, 5, 3, 3, 0, tzinfo=UTC)) == (False, 3600)
    assert timing.is_due(datetime(2026, 5, 2, 3, 0, tzinfo=UTC)) == (True, 3600)
    assert timing.remaining_estimate(datetime(2026, 5, 3, 3, 0, tzinfo=UTC)) == timedelta(hours=1)
    assert pickle.loads(pickle.dumps(timing)) == timing
    assert Cron("0 10 * * *") != timing


@settings(max_examples=60, deadline=None)
@given(
    minute=st.sampled_from(["0", "30", "*/20", "15,45"]),
    hour=st.sampled_from(["*", "2", "*/2", "1-3", "0,12"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    after=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_times_come_in_their_order_and_none_is_skipped_however_one_asks(
    minute: str, hour: str, zone: str, after: datetime
) -> None:
    """Asked for again after each, as beat does it, or all in one go: the same times."""
    timing: Cron = Cron(f"{minute} {hour} * * *", zone)
    in_one_go = list(islice(timing.times_after(after), 12))
    moment: datetime | None = after
    one_by_one = []
    for _ in range(12):
        moment = timing.next_after(moment)  # type: ignore[arg-type]
        one_by_one.append(moment)

    assert one_by_one == in_one_go == sorted(set(in_one_go))
    assert in_one_go[0] > after
    utc: tzinfo | None = UTC
    assert {time.tzinfo for time in in_one_go} == {utc}
