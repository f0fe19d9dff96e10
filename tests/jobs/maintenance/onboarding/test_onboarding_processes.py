"""A catalogue that a fork reads while its rows are written: all is as when one process does both."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from sqlalchemy import Table
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.onboarding import CatalogueError, RefreshReport, refresh_parts
from app.jobs.maintenance.services.onboarding.records import Record
from app.jobs.maintenance.services.onboarding.row import PartRow, RowParser
from tests.jobs.maintenance.forks import forks_of_this_process

Refresh = Callable[..., RefreshReport]
Stored = Callable[[], dict[str, RowMapping]]

HEADER = "code,name,price,add_time\n"
ROWS = [f"A{number % 700},Bolt {number},{number}.5,2024-03-{1 + number % 28:02}" for number in range(1_000)]
FAULTS = ["A1", ',"No, code",1,', 'A2,"Nut" x,2,', "A3,Cap,minus one,", "A4,Größe,4,2024-02-30", "", "A5,Zoll,,"]


def workbook(path: Path) -> Path:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for line in (HEADER.strip(), *ROWS, *FAULTS[3:]):
        sheet.append(line.split(","))
    book.save(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_all_is_as_with_one_process(
    kind: str, refresh: Refresh, stored: Stored, session: Session, table: Table, rejected_path: Path, tmp_path: Path
) -> None:
    content: Any = HEADER + "\n".join([*ROWS, *FAULTS]) if kind == "csv" else workbook(tmp_path / "parts.xlsx")

    def outcome(processes: int) -> tuple[object, ...]:
        told: list[tuple[int, int | None, str]] = []
        session.execute(table.delete())
        report = refresh(
            content,
            newer_than=datetime(2024, 3, 4, tzinfo=UTC),
            batch_size=90,
            processes=processes,
            on_progress=lambda *progress: told.append(progress),
        )
        # Ids go on where those of deleted rows ended.
        rows = {code: {**row, "id": 0} for code, row in stored().items()}
        return report, rows, rejected_path.read_bytes(), told

    alone = outcome(1)

    assert outcome(2) == alone
    report = alone[0]
    assert isinstance(report, RefreshReport)
    assert report.inserted > 500
    assert min(report.updated, report.older, report.rejected) > 1


def test_a_fork_reads(refresh: Refresh, monkeypatch: pytest.MonkeyPatch) -> None:
    """And this process writes, which has the database's connection."""
    here = os.getpid()
    parse = RowParser.parse

    def parse_elsewhere(self: RowParser, record: Record) -> PartRow:
        assert os.getpid() != here
        return parse(self, record)

    monkeypatch.setattr(RowParser, "parse", parse_elsewhere)

    assert refresh(HEADER + "\n".join(ROWS), processes=2).read == len(ROWS)


def test_what_is_wrong_with_the_file_is_told_as_ever(refresh: Refresh) -> None:
    content = (HEADER + "\n".join(ROWS)).encode() + b"\nA6,\xff,,\n"

    with pytest.raises(CatalogueError, match=r"The byte at offset \d+ \(line 1002\) is not UTF-8 text"):
        refresh(content, batch_size=90, processes=2)


def test_a_refresh_that_is_stopped_leaves_no_fork(refresh: Refresh) -> None:
    def stop_later(current: int, total: int | None, message: str) -> None:
        if message == "180 rows read":
            raise TimeoutError

    with pytest.raises(TimeoutError) as stopped:
        refresh(HEADER + "\n".join(ROWS * 100), batch_size=90, processes=2, on_progress=stop_later)

    assert forks_of_this_process() == []
    assert stopped.value.__traceback__ is not None  # which holds the frames, and what is in them


def test_a_small_file_is_read_alone_and_a_large_one_by_a_fork(
    refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(f"{refresh_parts.__module__}.usable_processes", lambda: asked.append(1) or 2)

    refresh(HEADER + "\n".join(ROWS))
    assert asked == []

    refresh(HEADER + "\n".join(ROWS * 40))
    assert asked == [1]
