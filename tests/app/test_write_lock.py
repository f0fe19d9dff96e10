"""Jobs that write a little wait for one that holds SQLite's lock for longer than statements do."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import write_lock
from app.extensions import db
from app.jobs.alerts import findings
from app.jobs.alerts.models import AlertFinding
from app.jobs.alerts.services import FindingKind
from app.jobs.monitoring import tasks
from app.write_lock import wait_to_write
from config import Config


@pytest.fixture
def database(config: Config) -> Path:
    return Path(config.database_url.removeprefix("sqlite:///"))


@contextmanager
def another_writer(database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Who holds the lock until somebody has found it taken."""
    waits = threading.Event()

    def pause(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr(write_lock, "_PAUSE", 0.01)
    monkeypatch.setattr(write_lock, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    writer = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    def end() -> None:
        waits.wait(30)
        writer.execute("ROLLBACK")

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        waits.set()
        thread.join()
        writer.close()


@pytest.fixture
def impatient(app: Flask) -> Iterator[None]:
    """A context whose statements find the lock taken at once."""
    with app.app_context():

        @event.listens_for(db.engine, "checkout")
        def hurry(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute("PRAGMA busy_timeout = 0")

        yield
        event.remove(db.engine, "checkout", hurry)


@pytest.mark.usefixtures("impatient")
def test_a_minute_is_measured_while_a_long_job_writes(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_writer(database, monkeypatch):
        tasks.collect_metrics()
    db.session.commit()

    assert len(db.session.execute(select(tasks.HOSTS)).all()) == 1


@pytest.mark.usefixtures("impatient")
def test_an_hour_is_kept_while_a_long_job_writes(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aggregated = tasks.aggregate_metrics(minutes=1, series=False)
    db.session.rollback()

    with another_writer(database, monkeypatch):
        assert tasks.keep_summaries(aggregated) == {"kept": 0, "deleted": 0}


@pytest.mark.usefixtures("impatient")
def test_a_job_does_not_fail_for_what_it_has_found(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "current_job", SimpleNamespace(task_id="one"))

    with another_writer(database, monkeypatch):
        findings.tell_in_digest(FindingKind.DUPLICATES, 1, ["A and B"], task="maintenance.match_self_table")
    db.session.commit()

    assert db.session.scalars(select(AlertFinding.task_id)).all() == ["one"]


def test_patience_ends(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with Session(engine) as writer, Session(engine) as other:
        wait_to_write(writer)

        with pytest.raises(OperationalError, match="locked"):
            wait_to_write(other, patience=0)
    engine.dispose()


def test_who_writes_already_has_the_lock_and_waits_as_before(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with Session(engine) as session:
        before = session.scalar(text("PRAGMA busy_timeout"))
        session.execute(text("CREATE TABLE numbers (number INTEGER)"))
        wait_to_write(session)
        session.execute(text("INSERT INTO numbers VALUES (1)"))
        wait_to_write(session)
        session.commit()

        assert session.scalar(text("SELECT number FROM numbers")) == 1
        assert session.scalar(text("PRAGMA busy_timeout")) == before
    engine.dispose()
