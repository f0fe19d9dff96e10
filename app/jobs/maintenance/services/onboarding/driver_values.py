"""Values of the parts table as the database's driver takes and gives them.

Rows by the hundred thousand go to the driver directly: SQLAlchemy's handling of each value of each row takes longer
than the database does.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, Table

_Convert = Callable[[Any], Any]


class DriverValues:
    """Each column's own conversions, as its type defines them for the dialect; None stays None."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._write: dict[str, _Convert] = {}
        self._read: dict[str, _Convert] = {}
        for column in table.columns:
            kind = column.type.dialect_impl(dialect)
            # A driver that takes values of the type as they are gives them so, too.
            if write := kind.bind_processor(dialect):
                self._write[column.name] = write
                self._read[column.name] = kind.result_processor(dialect, None) or _as_it_is

    def written(self, name: str, value: Any) -> Any:
        """What the driver is handed for a value of the column."""
        return self._write.get(name, _as_it_is)(value)

    def read(self, name: str, value: Any) -> Any:
        """The value of the column for what the driver gives."""
        return self._read.get(name, _as_it_is)(value)


def _as_it_is(value: Any) -> Any:
    return value
