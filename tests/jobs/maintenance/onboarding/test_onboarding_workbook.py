"""XLSX files: typed cells, formulas, sheets and progress."""

import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import openpyxl
import pytest

from app.jobs.maintenance.services.onboarding import CatalogueError
from app.jobs.maintenance.services.onboarding.catalogue import open_catalogue

SHARED_STRINGS = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
SHEET = "xl/worksheets/sheet1.xml"
Save = Callable[..., Path]


def read(path: Path) -> list[tuple[int, tuple[object, ...]]]:
    with open_catalogue(path) as catalogue:
        return [(0, tuple(catalogue.header)), *((r.line, tuple(r.cells)) for r in catalogue.records())]


def in_sheet(old: bytes, new: bytes) -> Callable[[str, bytes], bytes | None]:
    def change(name: str, content: bytes) -> bytes:
        if name == SHEET:
            assert old in content
            return content.replace(old, new)
        return content

    return change


def test_cells_are_typed_and_lines_are_rows_of_the_sheet(workbook: Save) -> None:
    path = workbook(
        (),
        ("code", "name", "price", "add_time"),
        (1, "Bolt", 1.5, datetime(2024, 3, 1, 8, 30)),
        (),
        ("A2", "Nut", None, date(2024, 3, 2), "a note beside the table"),
        ("  ",),
    )
    assert read(path) == [
        (0, ("code", "name", "price", "add_time")),
        (3, (1, "Bolt", 1.5, datetime(2024, 3, 1, 8, 30))),
        (5, ("A2", "Nut", None, datetime(2024, 3, 2))),
    ]


def test_a_formula_gives_its_stored_value(repack: Save, workbook: Save) -> None:
    path = workbook(("code", "name"), ("A1", "=1+1"))
    repack(path, in_sheet(b"<v />" if b"<v />" in zipfile.ZipFile(path).read(SHEET) else b"<v></v>", b"<v>2</v>"))
    assert read(path)[1] == (2, ("A1", 2))


def test_the_first_visible_sheet_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    hidden, shown = cast(Any, book.active), book.create_sheet()
    hidden.append(["code", "name"])
    hidden.append(["A1", "hidden"])
    hidden.sheet_state = "hidden"
    shown.append(["code", "name"])
    shown.append(["A2", "shown"])
    book.save(tmp_path / "upload")
    assert read(tmp_path / "upload")[1] == (2, ("A2", "shown"))


def test_a_sheet_that_declares_itself_too_small_is_read_whole(repack: Save, workbook: Save) -> None:
    path = workbook(("code", "name"), ("A1", "Bolt"), ("A2", "Nut"))
    repack(path, in_sheet(b'ref="A1:B3"', b'ref="A1"'))
    assert len(read(path)) == 3
    with open_catalogue(path) as catalogue:
        assert [(list(r.cells), catalogue.progress()) for r in catalogue.records()][-1] == (
            ["A2", "Nut"],
            (3, None),
        )


def test_progress_is_in_rows(workbook: Save) -> None:
    with open_catalogue(workbook(("code", "name"), ("A1", "Bolt"), ("A2", "Nut"))) as catalogue:
        assert catalogue.progress() == (1, 3)
        assert [catalogue.progress() for _ in catalogue.records()] == [(2, 3), (3, 3)]


def test_an_empty_sheet_is_refused(workbook: Save) -> None:
    with pytest.raises(CatalogueError, match="sheet of the workbook is empty"):
        read(workbook())
