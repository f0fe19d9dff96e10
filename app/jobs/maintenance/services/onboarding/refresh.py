"""The whole refresh: from an uploaded file to the parts table, in the caller's transaction."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.cores import ahead, usable_processes

from .catalogue import open_catalogue
from .errors import RowError
from .header import Columns, read_header
from .parts_table import PartsTable
from .records import CatalogueReader, Record
from .rejected_file import RejectedFile
from .report import RefreshReport
from .row import PartRow, RowParser

MAX_BATCH_SIZE = 10_000
# Bytes: a smaller file is read before another process could have begun.
_ALONE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some records of the file: rows to write, rows refused with code and reason, and how far the reader is."""

    rows: list[PartRow]
    rejected: list[tuple[Record, str, str]]
    older: int
    progress: tuple[int, int | None]

    @property
    def read(self) -> int:
        return len(self.rows) + len(self.rejected) + self.older

    def __reduce__(self) -> tuple[object, ...]:
        # By columns, a row costs half as much on its way from the process that has read it.
        return _batch_of, (tuple(zip(*self.rows, strict=True)), self.rejected, self.older, self.progress)


def _batch_of(columns: tuple[Any, ...], *others: Any) -> _Batch:
    return _Batch([PartRow._make(row) for row in zip(*columns, strict=True)], *others)


def refresh_parts(
    session: Session,
    table: Table,
    source: Path,
    *,
    newer_than: datetime | None,
    rejected_path: Path,
    timezone: tzinfo,
    now: datetime,
    on_progress: Callable[[int, int | None, str], None],
    batch_size: int = 2000,
    processes: int | None = None,
) -> RefreshReport:
    """Insert or update the parts of the CSV or XLSX at `source`; of rows with one code the last stands.

    Everything happens in the transaction of `session`: nothing is committed, rolled back or begun here, so
    a caller that rolls back leaves no row. Objects of the session that map to `table` are not refreshed.

    `newer_than`: rows with an `add_time` at or before it count as older and are not written; None takes all
    rows. A row without an `add_time` counts as newer; it is written with `now`, unless nothing else of it
    has changed.
    `rejected_path`: see RejectedFile; the file exists afterwards only when a row was rejected.
    `timezone`: what times without an offset mean. `now` and `newer_than` must be aware.
    `on_progress(current, total, message)`: called at the start, after each batch and at the end; `current`
    never falls and is in bytes of a CSV or rows of a sheet, `total` in the same or None. What it raises
    ends the refresh.
    `batch_size`: rows read between two statements, 1 to 10,000.
    `processes`: with more than one, a fork of this process reads and checks the rows while this one writes
    those before them; None for as many as are safe, where the file is large.

    Raises: CatalogueError when the file as a whole cannot be used; part of it may then stand in the
    transaction, which the caller must roll back. ValueError for a wrong argument, OSError when a file of
    the server fails.
    """
    _check_arguments(newer_than, now, batch_size)
    now = now.astimezone(UTC)
    # A repeated run must not answer with the rows that the run before rejected.
    rejected_path.unlink(missing_ok=True)
    with open_catalogue(source) as catalogue:
        columns = read_header(catalogue.header)
        parser = RowParser(columns, timezone)
        parts = PartsTable(session, table, columns.present, now)
        on_progress(*catalogue.progress(), _opening(columns))
        read = inserted = updated = unchanged = older = 0
        if processes is None:
            processes = usable_processes() if source.stat().st_size > _ALONE else 1
        batches = ahead(_batches(catalogue, parser, newer_than, batch_size), processes=processes)
        current, total = catalogue.progress()
        with RejectedFile(rejected_path, columns) as rejected, closing(batches):
            for batch in batches:
                for refused in batch.rejected:
                    rejected.add(*refused)
                if batch.rows:
                    outcome = parts.apply(batch.rows)
                    inserted += outcome.inserted
                    updated += outcome.updated
                    unchanged += outcome.unchanged
                older += batch.older
                read += batch.read
                current, total = batch.progress
                on_progress(current, total, f"{read} rows read")
            # Blank rows at the end of a sheet are part of what it declares: the bar ends full all the same.
            on_progress(total or current, total or current, f"{read} rows read, {rejected.count} rejected")
    return RefreshReport(
        read=read,
        inserted=inserted,
        updated=updated,
        unchanged=unchanged,
        older=older,
        rejected=rejected.count,
        rejected_rows=tuple(rejected.listed),
    )


def _batches(
    catalogue: CatalogueReader, parser: RowParser, newer_than: datetime | None, batch_size: int
) -> Iterator[_Batch]:
    records = catalogue.records()
    while some := list(islice(records, batch_size)):
        rows: list[PartRow] = []
        rejected, older = [], 0
        for record in some:
            try:
                row = parser.parse(record)
            except RowError as error:
                rejected.append((record, parser.code_of(record), str(error)))
                continue
            if newer_than is not None and row.add_time is not None and row.add_time <= newer_than:
                older += 1
            else:
                rows.append(row)
        yield _Batch(rows, rejected, older, catalogue.progress())


def _check_arguments(newer_than: datetime | None, now: datetime, batch_size: int) -> None:
    for name, moment in (("newer_than", newer_than), ("now", now)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} must carry its time zone")
    if not 1 <= batch_size <= MAX_BATCH_SIZE:
        raise ValueError(f"batch_size must be from 1 to {MAX_BATCH_SIZE}, not {batch_size}")


def _opening(columns: Columns) -> str:
    if not columns.unused:
        return "Reading parts"
    return f"Reading parts; columns not used: {', '.join(title[:40] for title in columns.unused[:10])}"
