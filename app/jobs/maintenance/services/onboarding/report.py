"""What a refresh reports when it is done."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One row that was not written.

    `line` is the physical line of the CSV on which the record begins (the header is line 1), or the row
    number in the sheet. `code` is the row's code as it stands in the file, cut to 128 characters, "" where
    it could not be told.
    """

    line: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """Counts of data rows: `read == inserted + updated + unchanged + older + rejected`.

    Blank rows are not counted. A code that stands twice in the file counts each time, by what that row did
    to the table as the row before had left it: inserted first, then updated or unchanged. The counts do not
    depend on the batch size. `rejected_rows` holds the first 100.
    """

    read: int
    inserted: int
    updated: int
    unchanged: int
    older: int
    rejected: int
    rejected_rows: tuple[RejectedRow, ...]
