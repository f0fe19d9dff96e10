"""Looking rows up and writing them by the batch, in the words of the database itself."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, DateTime, Numeric, Table
from sqlalchemy.sql.schema import Column

DriverRow = Sequence[Any]
"""A row's values as the driver takes or gives them."""


class BatchSql(Protocol):
    """Statements of one text for batches of any size, which no plan and no cache has to meet anew."""

    def look_up(self, connection: Connection, codes: Collection[str]) -> Iterable[DriverRow]:
        """The rows with these codes that there are, as code and the columns named."""

    def upsert(self, connection: Connection, rows: Sequence[DriverRow]) -> None:
        """Insert rows of different codes; of one that is there by now, the columns to be written are overwritten."""


class SqliteBatch:
    """Implements BatchSql: codes come as JSON, rows one after another into a prepared statement."""

    def __init__(self, table: Table, read: Sequence[str], columns: Sequence[str], written: Sequence[str]) -> None:
        self._look_up = f"{_select(table, read)} IN (SELECT value FROM json_each(?))"  # noqa: S608 no value is in the text
        values = f"VALUES ({', '.join('?' * len(columns))})"
        self._upsert = _insert(table, columns, values, written)

    def look_up(self, connection: Connection, codes: Collection[str]) -> Iterable[DriverRow]:
        return connection.exec_driver_sql(self._look_up, (json.dumps(list(codes)),))

    def upsert(self, connection: Connection, rows: Sequence[DriverRow]) -> None:
        connection.exec_driver_sql(self._upsert, [tuple(row) for row in rows])


class PostgresqlBatch:
    """Implements BatchSql: a batch is one array for each column, so it is one statement and one answer."""

    def __init__(self, table: Table, read: Sequence[str], columns: Sequence[str], written: Sequence[str]) -> None:
        self._look_up = f"{_select(table, read)} = ANY(%s)"
        arrays = ", ".join(f"%s::{_array(table.c[name])}" for name in columns)
        # In the order of the arrays, so that ids follow the file.
        self._upsert = _insert(table, columns, f"SELECT * FROM unnest({arrays})", written)  # noqa: S608 no value is in the text

    def look_up(self, connection: Connection, codes: Collection[str]) -> Iterable[DriverRow]:
        return connection.exec_driver_sql(self._look_up, (list(codes),))

    def upsert(self, connection: Connection, rows: Sequence[DriverRow]) -> None:
        connection.exec_driver_sql(self._upsert, tuple(map(list, zip(*rows, strict=True))))


def _select(table: Table, read: Sequence[str]) -> str:
    return f"SELECT {', '.join(read)} FROM {table.fullname} WHERE code"  # noqa: S608 names of columns alone


def _insert(table: Table, columns: Sequence[str], rows: str, written: Sequence[str]) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in written)
    into = f"INSERT INTO {table.fullname} ({', '.join(columns)})"
    return f"{into} {rows} ON CONFLICT (code) DO UPDATE SET {changes}"


def _array(column: Column[Any]) -> str:
    # Texts as such: a cast to varchar(n) would cut what is too long, where the column refuses it.
    if isinstance(column.type, Numeric):
        return "numeric[]"
    return "timestamptz[]" if isinstance(column.type, DateTime) else "text[]"
