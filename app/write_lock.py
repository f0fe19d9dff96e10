"""SQLite has one writer at a time: waiting for one that takes longer than ``busy_timeout``."""

import time
from sqlite3 import SQLITE_BUSY

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

#: Seconds that a job waits. A catalogue of a million parts is one transaction of a minute.
PATIENCE = 300

_PAUSE = 0.2  # not in SQLite, which would hold up the other greenlets of a process


def wait_to_write(session: Session, patience: float = PATIENCE) -> None:
    """Take SQLite's lock for the session's transaction, unless that has it; nothing with other databases.

    For what would be lost, or end a long job, only because somebody else is writing just now.
    Raises: OperationalError when the lock was not to be had.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite" or _is_writing(connection):
        return
    before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        _begin(connection, time.monotonic() + patience)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}")


def _begin(connection: Connection, deadline: float) -> None:
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0)
            if code & 0xFF != SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(_PAUSE)


def _is_writing(connection: Connection) -> bool:
    """It begins no transaction before the first write."""
    return bool(getattr(connection.connection.dbapi_connection, "in_transaction", False))
