"""Which transactional jobs are completed, and with what result: the table ``job_completions``.

A completion is written in the transaction of the job's own work, so that the database holds both or neither. Its
primary key lets one run of a job commit and no other.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sqlite3 import SQLITE_BUSY
from typing import Any

from flask import Flask
from kombu.utils import json
from sqlalchemy import Column, DateTime, MetaData, String, Table, Text, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from libs.flask_celery.errors import SettingError
from libs.flask_celery.states import FINAL_STATES

TABLE_NAME = "job_completions"

#: How often a completion is written again while another writer holds SQLite's lock; each attempt waits for the
#: connection's ``busy_timeout``. The pause lets that writer go on where it is a greenlet of this process.
ATTEMPTS = 6
PAUSE = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Completion:
    """What the run that completed a job has returned, and what the record said of that run."""

    result: Any
    record_fields: dict[str, Any]


def completions_table(metadata: MetaData) -> Table:
    """Add the table to the application's metadata. A migration of the application's creates it in the database."""
    return Table(
        TABLE_NAME,
        metadata,
        Column("task_id", String(255), primary_key=True),
        Column("result", Text, nullable=False),  # JSON, as Celery stores it
        Column("record_fields", Text, nullable=False),  # JSON: ActiveJob.record_fields()
        Column("finished_at", DateTime(timezone=True), nullable=False, index=True),  # UTC
    )


class Completions:
    """The completions of one application's jobs. Raises: SettingError when the application has no place for them."""

    def __init__(self, app: Flask) -> None:
        self._database: Any = app.extensions.get("sqlalchemy")
        if self._database is None:
            raise SettingError("transactional", "wants an application with Flask-SQLAlchemy; this one has none")
        if TABLE_NAME not in self._database.metadata.tables:
            raise SettingError("transactional", "wants completions_table(db.metadata) among the application's models")
        self._table: Table = self._database.metadata.tables[TABLE_NAME]

    def session(self) -> Session:
        """The session of this app context itself, not its proxy."""
        session: Session = self._database.session()
        return session

    def find(self, task_id: str) -> Completion | None:
        """Look the job up on a connection of its own: no transaction stays open, and none need be in order.

        Raises: SettingError when the database lacks the table; DBAPIError.
        """
        query = select(self._table.c.result, self._table.c.record_fields).where(self._table.c.task_id == task_id)
        try:
            with self._database.engine.connect() as connection:
                found = connection.execute(query).one_or_none()
        except DBAPIError as error:
            self._require_table(error)
            raise
        return None if found is None else Completion(json.loads(found.result), json.loads(found.record_fields))

    def add(self, session: Session, task_id: str, completion: Completion) -> None:
        """Write the completion beside the session's own work, uncommitted.

        Waits for another run of the job that has written the same completion and not ended yet.
        Raises: TypeError when the result is not JSON; IntegrityError when the job was completed by another run;
            DBAPIError.
        """
        row = {
            "task_id": task_id,
            "result": json.dumps(completion.result),
            "record_fields": json.dumps(completion.record_fields),
            "finished_at": datetime.now(UTC),
        }
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                session.execute(insert(self._table).values(row))
                return
            except DBAPIError as error:
                # SQLite: had the job written anything, this connection would hold the lock and not wait for it. A
                # statement that got no lock has changed nothing, the transaction included, and may be repeated.
                if sqlite_code(error) != SQLITE_BUSY or not attempts_left:
                    raise
                time.sleep(PAUSE)

    def older_than(self, session: Session, cutoff: datetime, limit: int) -> list[str]:
        """The ids of the jobs completed before ``cutoff``, the oldest first."""
        finished_at = self._table.c.finished_at
        query = select(self._table.c.task_id).where(finished_at < cutoff).order_by(finished_at).limit(limit)
        return list(session.execute(query).scalars())

    def remove(self, session: Session, task_ids: Sequence[str]) -> None:
        """Uncommitted, as :meth:`add`."""
        session.execute(delete(self._table).where(self._table.c.task_id.in_(task_ids)))

    def _require_table(self, error: DBAPIError) -> None:
        if not inspect(self._database.engine).has_table(TABLE_NAME):
            problem = f"has no table {TABLE_NAME}; run `manage.py db upgrade`"
            raise SettingError("DATABASE_URL", problem) from error


def forget_completions(app: Flask, older_than: timedelta, *, limit: int = 1000) -> int:
    """Remove completions that no delivery of their job can ask for any more.

    That is when the job was completed longer ago than ``older_than`` and its record is final or gone. A job whose
    record is not final keeps its completion however old it is: all workers may have been away for long.
    ``older_than``: at least the time that a record is known, ``result_expires`` and the backend's ``retention``.

    Returns: how many, at most ``limit``; 0 where an application has no completions.
    Raises: DBAPIError while the database is away or locked, redis.RedisError while Redis is away.
    """
    database = app.extensions.get("sqlalchemy")
    if database is None or TABLE_NAME not in database.metadata.tables:
        return 0
    completions = Completions(app)
    with app.app_context():
        session = completions.session()
        task_ids = completions.older_than(session, datetime.now(UTC) - older_than, limit)
        session.rollback()  # no transaction is left open while Redis is asked
        forgotten = _finished(app.extensions["celery"].backend, task_ids)
        if forgotten:
            completions.remove(session, forgotten)
            session.commit()
    return len(forgotten)


def _finished(backend: Any, task_ids: Sequence[str]) -> list[str]:
    """Those whose record is final or gone."""
    with backend.client.pipeline(transaction=False) as pipe:
        for task_id in task_ids:
            pipe.hget(backend.keys.ledger(task_id), "state")
        states = pipe.execute()
    return [
        task_id
        for task_id, state in zip(task_ids, states, strict=True)
        if state is None or state.decode() in FINAL_STATES
    ]


def sqlite_code(error: DBAPIError) -> int | None:
    """Extended, as sqlite3 gives it; None with another database."""
    return getattr(error.orig, "sqlite_errorcode", None)
