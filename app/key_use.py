"""When each API key was last used: written after the answer is sent, and not for each request."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Request, Response
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.api_keys import note_use
from app.application import ServiceFlask
from app.extensions import db

logger = logging.getLogger(__name__)

#: Seconds between two writes of one key by one process, and so how far ``last_used_at`` can be behind.
INTERVAL = 60.0
_MOST_REMEMBERED = 10_000


class KeyUses:
    """Which keys this process has lately written a use of."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_due(self, key_id: str) -> bool:
        """Whether a use of this key is to be written now; true once in :data:`INTERVAL` seconds."""
        now = time.monotonic()
        if self._due.get(key_id, now) > now:
            return False
        with self._lock:
            if self._due.get(key_id, now) > now:
                return False
            if len(self._due) >= _MOST_REMEMBERED:
                self._due.clear()
            self._due[key_id] = now + INTERVAL
        return True


def init_app(app: ServiceFlask) -> None:
    """Note uses of the keys that requests of ``app`` were authenticated with, which stand in ``g.key_id``."""
    app.extensions["key_uses"] = KeyUses()

    def note(_: Request, facts: Any, response: Response) -> None:
        key_id = facts.get("key_id")
        if key_id is None or not app.extensions["key_uses"].is_due(key_id):
            return
        write = partial(_write, db.engine, key_id, datetime.now(UTC))
        if response.direct_passthrough:
            write()  # a file goes out by itself, and nobody tells when (werkzeug/wrappers/response.py, get_app_iter)
        else:
            response.call_on_close(write)

    app.at_end(note)


def _write(engine: Engine, key_id: str, used_at: datetime) -> None:
    try:
        with engine.connect() as connection, _without_waiting(connection):
            note_use(connection, key_id, used_at)
            connection.commit()
    except SQLAlchemyError as error:
        # Nobody is to be refused for that. The next use of the key that is due is written again.
        logger.warning("The last use of the API key %s could not be written: %s", key_id, type(error).__name__)


@contextmanager
def _without_waiting(connection: Connection) -> Iterator[None]:
    """SQLite waits for another writer in C, where no other greenlet runs: every request would wait along."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {before}")
