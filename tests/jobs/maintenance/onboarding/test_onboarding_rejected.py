"""Rejected rows: in the report, and in the file that goes back to the person."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.onboarding import CatalogueError, RefreshReport, RejectedRow

Refresh = Callable[..., RefreshReport]
Stored = Callable[[], dict[str, RowMapping]]


def counts(report: RefreshReport) -> tuple[int, int, int, int, int, int]:
    return report.read, report.inserted, report.updated, report.unchanged, report.older, report.rejected


def test_a_rejected_row_does_not_stop_the_rest(
    refresh: Refresh, stored: Stored, read_rejected: Callable[[], list[list[str]]]
) -> None:
    report = refresh(
        "Name,Code,Price,Colour\n"
        '"Bolt\nlong",A1,1,red\n'
        "Nut,A2,free,=HYPERLINK()\n"
        ",@A3,1,-1\n"
        'x,"A"4,1,red\n'
        "Cap,A5\n"
        "Pin,A6,2,blue\n"
    )
    assert counts(report) == (6, 2, 0, 0, 0, 4)
    assert list(stored()) == ["A1", "A6"]
    assert [(row.line, row.code) for row in report.rejected_rows] == [
        (4, "A2"),
        (5, "@A3"),
        (6, ""),
        (7, "A5"),
    ]
    assert report.rejected_rows[0] == RejectedRow(4, "A2", "price 'free' is not a number; write it like 1234.50")
    header, *rows = read_rejected()
    assert header == ["line", "code", "reason", "Name", "Price", "Colour"]
    assert rows[0] == ["4", "A2", report.rejected_rows[0].reason, "Nut", "free", "'=HYPERLINK()"]
    assert rows[1] == ["5", "'@A3", "name is empty", "", "1", "'-1"]
    assert rows[2][:2] == ["6", ""]
    assert rows[2][3] == 'x,"A"4,1,red'
    assert rows[3][3:] == ["Cap"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "＝"])
def test_no_cell_of_the_rejected_file_is_a_formula(
    refresh: Refresh, read_rejected: Callable[[], list[list[str]]], start: str
) -> None:
    refresh(f'code,name,{start}title\n"{start}cmd",,"{start}cmd"\n')
    cells = [cell for row in read_rejected() for cell in row]
    assert [cell for cell in cells if start in cell] == [
        f"'{start}title".strip(),
        f"'{start}cmd",
        f"'{start}cmd",
    ] or (start == "\t" and "'\tcmd" in cells)
    assert not any(cell.startswith(start) for cell in cells)


def test_the_corrected_rejected_file_can_be_sent_again(refresh: Refresh, rejected_path: Path) -> None:
    refresh("code,name,price\nA1,Bolt,free\n")
    corrected = rejected_path.read_bytes().replace(b",free", b",5")
    assert counts(refresh(corrected)) == (1, 1, 0, 0, 0, 0)
    assert not rejected_path.exists(), "an answer of the run before must not be left"


def test_all_rejected_rows_are_in_the_file_and_100_in_the_report(
    refresh: Refresh, read_rejected: Callable[[], list[list[str]]]
) -> None:
    report = refresh("code,name\n" + "".join(f"{'x' * 300}{number},\n" for number in range(250)), batch_size=7)
    assert counts(report) == (250, 0, 0, 0, 0, 250)
    assert [row.line for row in report.rejected_rows] == list(range(2, 102))
    assert {len(row.code) for row in report.rejected_rows} == {128}
    assert len(read_rejected()) == 251
    assert read_rejected()[-1][1] == "x" * 300 + "249"


def test_an_error_leaves_no_rejected_file_and_a_rollback_no_row(
    refresh: Refresh, stored: Stored, session: Session, tmp_path: Path
) -> None:
    with pytest.raises(CatalogueError):
        refresh(b"code,name\nA1,Bolt\nA2,\n" + b"A3,Nut\n" * 3000 + b"A4,\xff\n", batch_size=1)
    assert not list(tmp_path.glob("rejected*"))
    assert set(stored()) == {"A1", "A3"}, "the rows before the error stand in the transaction, which is the caller's"
    session.rollback()
    assert stored() == {}
