"""An XLSX catalogue: the first visible sheet of a workbook, streamed."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol, cast
from zipfile import BadZipFile

from openpyxl import load_workbook

from .errors import CatalogueError
from .header import MAX_COLUMNS
from .records import CatalogueReader, Record, shown
from .workbook_archive import check_archive

# A sheet has no more rows in any program; a row number beyond it would be padded with blank rows for ever.
MAX_ROWS = 1_048_576
_CHUNK = 500

# What zipfile, the XML parser and openpyxl raise on a broken workbook. Not Exception: a worker's time limit
# is one too, and arrives in the middle of the reading.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,  # the base class of xml's ParseError
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class _Sheet(Protocol):
    """What is used of openpyxl's read-only sheet, which its published types do not describe."""

    sheet_state: str

    @property
    def max_row(self) -> int | None: ...

    def reset_dimensions(self) -> None: ...

    def iter_rows(self, *, min_row: int, max_col: int, values_only: bool) -> Iterator[tuple[object, ...]]: ...


class WorkbookCatalogue:
    """Implements CatalogueReader over a sheet; progress is in rows of the sheet."""

    def __init__(self, sheet: _Sheet) -> None:
        self._sheet = sheet
        # What the sheet declares is good enough for a bar, and not for reading: some programs write it too
        # small.
        self._declared = sheet.max_row
        sheet.reset_dimensions()
        self._row = 0
        first = next(self._rows(1, MAX_COLUMNS + 1), None)
        if first is None:
            raise CatalogueError("The first sheet of the workbook is empty; its first row must name the columns.")
        self.header: Sequence[object] = _without_trailing_blanks(first.cells)
        self._first = first.line

    def records(self) -> Iterator[Record]:
        """The rows below the header, each as wide as the header."""
        # Cells to the right of the header's last title are left unread, as are columns with a title we do
        # not know.
        return self._rows(self._first + 1, len(self.header))

    def progress(self) -> tuple[int, int | None]:
        """The row reached, and the last one that the sheet declares, where that can be true."""
        total = self._declared if self._declared is not None and self._row <= self._declared else None
        return self._row, total

    def _rows(self, start: int, width: int) -> Iterator[Record]:
        rows = self._sheet.iter_rows(min_row=start, max_col=width, values_only=True)
        number = start - 1
        while chunk := _take(rows):
            for cells in chunk:
                number += 1
                if number > MAX_ROWS:
                    raise CatalogueError(
                        f"The sheet has a row beyond number {MAX_ROWS}; split it into several files."
                    )
                if any(cell is not None and shown(cell).strip() for cell in cells):
                    self._row = number
                    yield Record(number, cells)


@contextmanager
def open_workbook(path: Path) -> Iterator[CatalogueReader]:
    """Open the first visible sheet of an XLSX. Formulas give the value stored when the file was saved.

    Raises: CatalogueError when it is no workbook, broken, encrypted, would unpack beyond bounds, or is empty.
    """
    with path.open("rb") as file:
        with _telling_broken():
            check_archive(file)
            workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        with closing(workbook):
            sheets = cast("list[_Sheet]", workbook.worksheets)
            sheet = next((sheet for sheet in sheets if sheet.sheet_state == "visible"), None)
            if sheet is None:
                raise CatalogueError("The workbook has no visible sheet; put the table on its first sheet.")
            yield WorkbookCatalogue(sheet)


def _take(rows: Iterator[tuple[object, ...]]) -> list[tuple[object, ...]]:
    with _telling_broken():
        return list(islice(rows, _CHUNK))


@contextmanager
def _telling_broken() -> Iterator[None]:
    try:
        # openpyxl warns of styles and extensions that it leaves out, which is nothing to a reader of values.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CatalogueError:
        raise
    except _BROKEN as error:
        raise CatalogueError(
            "The workbook is broken and cannot be read;"
            " open it, save it again as XLSX or as CSV in UTF-8, and send that."
        ) from error


def _without_trailing_blanks(cells: Sequence[object]) -> Sequence[object]:
    width = max(index for index, cell in enumerate(cells, 1) if cell is not None)
    return cells[:width]
