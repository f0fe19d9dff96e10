"""Writing checked rows into the parts table, a batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from .driver_values import DriverValues
from .parts_sql import BatchSql, DriverRow, PostgresqlBatch, SqliteBatch
from .row import PartRow

_BATCHES: dict[str, type[PostgresqlBatch | SqliteBatch]] = {"postgresql": PostgresqlBatch, "sqlite": SqliteBatch}
_COLUMNS = ("code", "name", "description", "manufacturer", "price", "add_time", "updated_at")
# Any number that no other advisory lock of this database uses.
_IMPORT_LOCK = 7_020_250_117


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What a batch did to the table: `inserted + updated + unchanged` is the number of its rows."""

    inserted: int
    updated: int
    unchanged: int


class PartsTable:
    """The table as one import sees it, within the transaction of `session`.

    `columns` are those the file has, `code` among them: only these are compared and overwritten, so that a
    file without prices leaves the prices alone. A new row takes the table's empty values for the rest.
    `now` is written to `updated_at`, and to `add_time` where a row that is written brings none.
    Raises: ValueError for a database other than PostgreSQL or SQLite.
    """

    def __init__(self, session: Session, table: Table, columns: Sequence[str], now: datetime) -> None:
        self._session = session
        self._table = table
        self._now = now
        dialect = session.get_bind(clause=table).dialect
        if dialect.name not in _BATCHES:
            raise ValueError(f"parts can be brought into PostgreSQL or SQLite, not {dialect.name}")
        self._compared = tuple(name for name in columns if name not in ("code", "add_time"))
        written = (*self._compared, "add_time", "updated_at")
        looked_up = (*self._compared, "add_time")
        self._sql: BatchSql = _BATCHES[dialect.name](table, ("code", *looked_up), _COLUMNS, written)
        self._values = DriverValues(table, dialect)
        self._as_looked_up = itemgetter(*map(_COLUMNS.index, looked_up))
        self._driver_now = self._values.written("add_time", now)
        c = table.c
        self._update = (
            update(table)
            .where(c.code == bindparam("key"))
            .values({name: bindparam(f"new_{name}") for name in written})
        )
        if dialect.name == "postgresql":
            # Two imports that meet in the same rows in another order would deadlock, and each would count
            # what the other was about to change: one waits for the other's transaction to end.
            session.execute(select(func.pg_advisory_xact_lock(_IMPORT_LOCK)))

    def apply(self, rows: Sequence[PartRow]) -> BatchOutcome:
        """Insert the new rows and update those that differ; of rows with one code the last stands."""
        connection = self._session.connection(bind_arguments={"clause": self._table})
        stored = {row[0]: row[1:] for row in self._sql.look_up(connection, {row.code for row in rows})}
        inserts: dict[str, DriverRow] = {}
        updates: dict[str, PartRow] = {}
        inserted = updated = unchanged = 0
        for row in rows:
            new, before = self._for_driver(row), stored.get(row.code)
            looked_up = self._as_looked_up(new)
            if before is None:
                inserted += 1
                inserts[row.code] = new
            elif before == looked_up or self._same(before, looked_up, row.add_time):
                unchanged += 1
                continue
            else:
                updated += 1
                if row.code in inserts:
                    inserts[row.code] = new
                else:
                    updates[row.code] = row
            stored[row.code] = looked_up
        if inserts:
            self._sql.upsert(connection, list(inserts.values()))
        if updates:
            self._session.execute(self._update, [self._changes(row) for row in updates.values()])
        return BatchOutcome(inserted, updated, unchanged)

    def _for_driver(self, row: PartRow) -> DriverRow:
        price, moment = row.price, row.add_time
        return (
            row.code,
            row.name,
            row.description,
            row.manufacturer,
            None if price is None else self._values.written("price", price),
            self._driver_now if moment is None else self._values.written("add_time", moment),
            self._driver_now,
        )

    def _same(self, before: DriverRow, new: DriverRow, add_time: datetime | None) -> bool:
        """Whether the row as stored says the same as the new one, for all that the column can keep of it."""
        read = self._values.read
        names = zip(self._compared, before, new, strict=False)
        if any(was != now_ and read(name, was) != read(name, now_) for name, was, now_ in names):
            return False
        return add_time is None or _in_utc(read("add_time", before[-1])) == add_time

    def _changes(self, row: PartRow) -> dict[str, Any]:
        changes: dict[str, Any] = {f"new_{name}": getattr(row, name) for name in self._compared}
        return changes | {
            "key": row.code,
            "new_add_time": row.add_time or self._now,
            "new_updated_at": self._now,
        }


def _in_utc(moment: datetime) -> datetime:
    # SQLite gives the time back without its zone; what was written was UTC.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
