"""What every kind of catalogue file is read into: a header and a stream of records."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One row of the file, not looked at yet.

    `cells` are strings in a CSV and typed values (None where empty) in a workbook. `problem` is set when
    the row could not be split into cells; `cells` is then its raw text, whole.
    """

    line: int
    cells: Sequence[object]
    problem: str | None = None


class CatalogueReader(Protocol):
    """An open catalogue file. All its methods may raise CatalogueError."""

    @property
    def header(self) -> Sequence[object]:
        """The cells of the first row that is not blank."""

    def records(self) -> Iterator[Record]:
        """The rows below the header, in order, blank ones left out; to be consumed once."""

    def progress(self) -> tuple[int, int | None]:
        """How far the reading is, and of how much (None where unknown): bytes of a CSV, rows of a sheet."""


def shown(cell: object) -> str:
    """A cell as a person would write it in a CSV; "" for an empty one."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, date):
        return cell.isoformat().replace("T", " ")
    return str(cell)
