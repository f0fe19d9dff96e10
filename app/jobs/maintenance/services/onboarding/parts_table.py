"""Writing checked rows into the parts table, a batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Insert, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .row import PartRow

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
        # SQLite keeps decimals as floats: what was written must be compared with what could be kept of it.
        self._decimals_are_floats = dialect.name == "sqlite"
        self._compared = tuple(name for name in columns if name not in ("code", "add_time"))
        written = (*self._compared, "add_time", "updated_at")
        c = table.c
        self._select = select(c.code, *(c[name] for name in self._compared), c.add_time)
        self._insert = _upsert(dialect.name, table, written)
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
        stored = self._stored({row.code for row in rows})
        inserts: dict[str, PartRow] = {}
        updates: dict[str, PartRow] = {}
        inserted = updated = unchanged = 0
        for row in rows:
            values, before = self._values(row), stored.get(row.code)
            if before is None:
                inserted += 1
                inserts[row.code] = row
            elif before[0] == values and row.add_time in (None, before[1]):
                unchanged += 1
                continue
            else:
                updated += 1
                (inserts if row.code in inserts else updates)[row.code] = row
            stored[row.code] = values, row.add_time or self._now
        if inserts:
            self._session.execute(self._insert, [self._full(row) for row in inserts.values()])
        if updates:
            self._session.execute(self._update, [self._changes(row) for row in updates.values()])
        return BatchOutcome(inserted, updated, unchanged)

    def _stored(self, codes: set[str]) -> dict[str, tuple[tuple[object, ...], datetime]]:
        found = self._session.execute(self._select.where(self._table.c.code.in_(codes)))
        return {code: (tuple(values), _in_utc(add_time)) for code, *values, add_time in found}

    def _values(self, row: PartRow) -> tuple[object, ...]:
        return tuple(
            self._as_stored(value) if isinstance(value, Decimal) else value
            for value in [getattr(row, name) for name in self._compared]
        )

    def _as_stored(self, price: Decimal) -> Decimal:
        return Decimal(f"{float(price):.4f}") if self._decimals_are_floats else price

    def _full(self, row: PartRow) -> dict[str, Any]:
        return {
            "code": row.code,
            "name": row.name,
            "description": row.description,
            "manufacturer": row.manufacturer,
            "price": row.price,
            "add_time": row.add_time or self._now,
            "updated_at": self._now,
        }

    def _changes(self, row: PartRow) -> dict[str, Any]:
        changes: dict[str, Any] = {f"new_{name}": getattr(row, name) for name in self._compared}
        return changes | {
            "key": row.code,
            "new_add_time": row.add_time or self._now,
            "new_updated_at": self._now,
        }


def _upsert(dialect: str, table: Table, written: Sequence[str]) -> Insert:
    # A row that another transaction has put in since the batch was looked up is overwritten, not an error.
    statement: postgresql.Insert | sqlite.Insert
    if dialect == "postgresql":
        statement = postgresql.insert(table)
    elif dialect == "sqlite":
        statement = sqlite.insert(table)
    else:
        raise ValueError(f"parts can be brought into PostgreSQL or SQLite, not {dialect}")
    return statement.on_conflict_do_update(
        index_elements=[table.c.code], set_={name: statement.excluded[name] for name in written}
    )


def _in_utc(moment: datetime) -> datetime:
    # SQLite gives the time back without its zone; what was written was UTC.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
