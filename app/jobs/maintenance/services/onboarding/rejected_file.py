"""The CSV of rejected rows, written as they come."""

import csv
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .header import Columns
from .records import Record, shown
from .report import RejectedRow

LISTED = 100
SHOWN_CODE = 128
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"); the last four are the
# full-width forms, which some of them take too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class RejectedFile:
    """All rejected rows as a CSV in UTF-8 with a byte order mark, for a spreadsheet; a context manager.

    The columns are `line`, `code`, `reason` and the file's other columns under their own titles, so that
    the corrected file can be sent again. It is written beside `path` and renamed when the block ends well:
    with no rejected row, or when the block raises, nothing is left at `path`.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        self._columns = columns
        self._stack = ExitStack()
        self._writer: Any = None  # the csv module does not name the type of its writers
        self.count = 0
        self.listed: list[RejectedRow] = []

    def add(self, record: Record, code: str, reason: str) -> None:
        """Write one row; the first 100 are kept in `listed` too."""
        if self._writer is None:
            file = self._stack.enter_context(self._partial.open("w", encoding="utf-8-sig", newline=""))
            self._writer = csv.writer(file)
            self._write("line", "code", "reason", self._others(self._columns.titles))
        self._write(str(record.line), code, reason, self._others([shown(cell) for cell in record.cells]))
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append(RejectedRow(record.line, code[:SHOWN_CODE], reason))

    def _write(self, line: str, code: str, reason: str, others: list[str]) -> None:
        self._writer.writerow([line, *(_harmless(cell) for cell in (code, reason, *others))])

    def _others(self, cells: list[str] | tuple[str, ...]) -> list[str]:
        return [cell for index, cell in enumerate(cells) if index != self._columns.code]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Closing writes the last rows, and can fail on a full disk.
            self._stack.close()
            if kind is None and self._writer is not None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell
