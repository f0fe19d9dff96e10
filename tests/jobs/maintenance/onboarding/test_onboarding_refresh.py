"""The whole refresh, on SQLite and on PostgreSQL."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, Table, select
from sqlalchemy.engine import RowMapping

from app.jobs.maintenance.services.onboarding import CatalogueError, RefreshReport

Refresh = Callable[..., RefreshReport]
Stored = Callable[[], dict[str, RowMapping]]

HEADER = "code,name,description,manufacturer,price,add_time\n"
DAY = timedelta(days=1)


def utc(moment: datetime) -> datetime:
    """SQLite gives times back without their zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def counts(report: RefreshReport) -> tuple[int, int, int, int, int, int]:
    return report.read, report.inserted, report.updated, report.unchanged, report.older, report.rejected


def test_a_new_part_is_inserted(refresh: Refresh, stored: Stored, now: datetime) -> None:
    report = refresh(HEADER + 'A1,Bolt,"M8, steel",Acme,"1,234.50",2024-03-01 08:00\n')
    assert counts(report) == (1, 1, 0, 0, 0, 0)
    row = stored()["A1"]
    assert (row["name"], row["description"], row["manufacturer"]) == ("Bolt", "M8, steel", "Acme")
    assert row["price"] == Decimal("1234.5")
    assert utc(row["add_time"]) == datetime(2024, 3, 1, tzinfo=UTC)
    assert utc(row["updated_at"]) == now


def test_a_header_alone_reports_zeros(refresh: Refresh, rejected_path: Path) -> None:
    assert refresh(HEADER) == RefreshReport(0, 0, 0, 0, 0, 0, ())
    assert not rejected_path.exists()


def test_the_same_file_again_changes_nothing(refresh: Refresh, stored: Stored, now: datetime) -> None:
    content = HEADER + (
        "A1,Bolt,M8,Acme,0.1,2024-03-01\n"
        "A2,Größe,,,,2024-03-01 08:30:15.123456\n"
        "A3,Nut,,,99999999999999.9999,\n"
        "A4,Cap,,,12345678901234.5678,2024-03-01T00:00:00-07:00\n"
    )
    assert counts(refresh(content)) == (4, 4, 0, 0, 0, 0)
    before = stored()
    assert counts(refresh(content, now=now + DAY)) == (4, 0, 0, 4, 0, 0)
    assert stored() == before


@pytest.mark.parametrize(
    "changed",
    [
        "A1,Screw,M8,Acme,1.5,2024-03-01",
        "A1,Bolt,M9,Acme,1.5,2024-03-01",
        "A1,Bolt,M8,,1.5,2024-03-01",
        "A1,Bolt,M8,Acme,1.5001,2024-03-01",
        "A1,Bolt,M8,Acme,,2024-03-01",
        "A1,Bolt,M8,Acme,1.5,2024-03-01 00:00:01",
    ],
)
def test_any_difference_is_an_update(refresh: Refresh, stored: Stored, now: datetime, changed: str) -> None:
    refresh(HEADER + "A1,Bolt,M8,Acme,1.5,2024-03-01\nA2,Nut,,,,2024-03-01\n")
    before = stored()
    assert counts(refresh(HEADER + changed + "\n", now=now + DAY)) == (1, 0, 1, 0, 0, 0)
    after = stored()
    assert after["A2"] == before["A2"]
    assert after["A1"]["id"] == before["A1"]["id"]
    assert utc(after["A1"]["updated_at"]) == now + DAY
    assert counts(refresh(HEADER + changed + "\n")) == (1, 0, 0, 1, 0, 0)


def test_columns_that_the_file_has_not_are_left_alone(refresh: Refresh, stored: Stored) -> None:
    refresh(HEADER + "A1,Bolt,M8,Acme,1.5,2024-03-01\n")
    assert counts(refresh("code,name,description\nA1,Screw,\nA2,Nut,new\n")) == (2, 1, 1, 0, 0, 0)
    row, new = stored()["A1"], stored()["A2"]
    assert (row["name"], row["description"], row["manufacturer"], row["price"]) == (
        "Screw",
        "",
        "Acme",
        Decimal("1.5"),
    )
    assert (new["description"], new["manufacturer"], new["price"]) == ("new", "", None)


def test_a_row_without_add_time_gets_now_when_it_is_written(refresh: Refresh, stored: Stored, now: datetime) -> None:
    refresh("code,name\nA1,Bolt\n")
    assert utc(stored()["A1"]["add_time"]) == now
    assert counts(refresh("code,name\nA1,Bolt\n", now=now + DAY)) == (1, 0, 0, 1, 0, 0)
    assert utc(stored()["A1"]["add_time"]) == now
    assert counts(refresh("code,name\nA1,Screw\n", now=now + DAY)) == (1, 0, 1, 0, 0, 0)
    assert utc(stored()["A1"]["add_time"]) == now + DAY


def test_rows_at_or_before_newer_than_are_older(refresh: Refresh, stored: Stored) -> None:
    content = (
        HEADER
        + "A1,a,,,,2024-03-01 08:00\nA2,b,,,,2024-03-01 08:00:01\nA3,c,,,,\n"
        + "A4,d,,,,2020-01-01\nA5,,,,,2020-01-01\n"
    )
    report = refresh(content, newer_than=datetime(2024, 3, 1, tzinfo=UTC))
    assert counts(report) == (5, 2, 0, 0, 2, 1)
    assert list(stored()) == ["A2", "A3"]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 2000])
def test_of_rows_with_one_code_the_last_stands(refresh: Refresh, stored: Stored, batch_size: int) -> None:
    refresh(HEADER + "A2,old,,,,2024-03-01\n")
    content = HEADER + "".join(
        f"{code},{name},,,,2024-03-01\n"
        for code, name in [
            ("A1", "x"),
            ("A2", "x"),
            ("A1", "y"),
            ("A1", "y"),
            ("A2", "y"),
            ("A1", "z"),
            ("A2", "old"),
        ]
    )
    assert counts(refresh(content, batch_size=batch_size)) == (7, 1, 5, 1, 0, 0)
    assert {code: row["name"] for code, row in stored().items()} == {"A2": "old", "A1": "z"}


def test_codes_differ_by_case_and_not_by_unicode_form(refresh: Refresh, stored: Stored) -> None:
    assert counts(refresh("code,name\na1,x\nA1,x\nCafe\u0301,x\nCaf\u00e9,x\n")) == (4, 3, 0, 1, 0, 0)
    assert set(stored()) == {"a1", "A1", "Caf\u00e9"}


def test_nothing_is_committed(refresh: Refresh, engine: Engine, table: Table) -> None:
    refresh("code,name\nA1,Bolt\n")
    with engine.connect() as other:
        assert other.execute(select(table)).all() == []


def test_what_on_progress_raises_ends_the_refresh(refresh: Refresh, rejected_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel(current: int, total: int | None, message: str) -> None:
        if current and "2 rows" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        refresh("code,name\nA1,\nA2,Bolt\nA3,Bolt\n", batch_size=2, on_progress=cancel)
    assert not list(rejected_path.parent.glob("rejected*"))


def test_progress_comes_once_a_batch_and_ends_full(refresh: Refresh) -> None:
    calls: list[tuple[int, int | None, str]] = []
    content = "code,name,prise\n" + "".join(f"A{number},Bolt,1\n" for number in range(20_000))
    refresh(content, on_progress=lambda *call: calls.append(call))
    assert len(calls) == 12
    assert calls[0][2] == "Reading parts; columns not used: prise"
    assert calls[-1] == (len(content), len(content), "20000 rows read, 0 rejected")
    positions = [current for current, _, _ in calls]
    assert positions == sorted(positions)
    # In the middle of the rows the bar stands in the middle, give or take a buffer.
    assert abs(positions[6] - len(content) * 12_000 / 20_000) < 20_000


def test_a_workbook_is_refreshed_as_a_csv_is(
    refresh: Refresh,
    stored: Stored,
    workbook: Callable[..., Path],
    read_rejected: Callable[[], list[list[str]]],
) -> None:
    rows = [
        ("code", "name", "price", "add_time"),
        (1001, "Bolt", 0.1 + 0.2, datetime(2024, 3, 1, 8)),
        (),
        ("A2", "Nut", "n/a", datetime(2024, 3, 1, 8)),
        ("A3", "Cap", None, None),
    ]
    report = refresh(workbook(*rows))
    assert counts(report) == (3, 2, 0, 0, 0, 1)
    assert (report.rejected_rows[0].line, report.rejected_rows[0].code) == (4, "A2")
    assert read_rejected()[1][3:] == ["Nut", "n/a", "2024-03-01 08:00:00"]
    assert stored()["1001"]["price"] == Decimal("0.3")
    assert utc(stored()["1001"]["add_time"]) == datetime(2024, 3, 1, tzinfo=UTC)
    assert counts(refresh(workbook(*rows))) == (3, 0, 0, 2, 0, 1)


def test_the_zone_is_the_callers(refresh: Refresh, stored: Stored) -> None:
    refresh(HEADER + "A1,Bolt,,,,2024-07-01\n", timezone=ZoneInfo("America/New_York"))
    assert utc(stored()["A1"]["add_time"]) == datetime(2024, 7, 1, 4, tzinfo=UTC)


def test_a_batch_costs_a_look_up_and_a_write(refresh: Refresh, statements: list[str]) -> None:
    content = "code,name\n" + "".join(f"A{number},Bolt\n" for number in range(1000))
    refresh(content, batch_size=100)
    kinds = Counter(statement.split()[0] for statement in statements if "advisory" not in statement)
    assert kinds["SELECT"] == 10
    assert kinds["UPDATE"] == 0
    statements.clear()
    refresh(content, batch_size=100)
    assert {statement.split()[0] for statement in statements if "advisory" not in statement} == {"SELECT"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"now": datetime(2024, 1, 1)}, "now must carry"),
        ({"newer_than": datetime(2024, 1, 1)}, "newer_than must carry"),
        ({"batch_size": 0}, "batch_size must be from 1"),
        ({"batch_size": 10_001}, "batch_size must be from 1"),
    ],
)
def test_wrong_arguments_are_told(refresh: Refresh, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        refresh("code,name\n", **arguments)
    assert not isinstance(caught.value, CatalogueError)


@pytest.mark.parametrize("batch_size", [10_000])
def test_the_largest_batch_is_within_the_databases_bounds(refresh: Refresh, batch_size: int) -> None:
    content = HEADER + "".join(f"A{number},Bolt,M8,Acme,1,2024-03-01\n" for number in range(10_000))
    assert counts(refresh(content, batch_size=batch_size)) == (10_000, 10_000, 0, 0, 0, 0)
