"""Other writers of the same table, and databases that the service does not know."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, create_engine, insert, select, text
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.onboarding import RefreshReport, refresh_parts


def counts(report: RefreshReport) -> tuple[int, int, int, int, int, int]:
    return report.read, report.inserted, report.updated, report.unchanged, report.older, report.rejected


def test_a_part_inserted_meanwhile_is_overwritten(
    postgresql: Engine, table: Table, tmp_path: Path, now: datetime
) -> None:
    table.metadata.drop_all(postgresql)
    table.metadata.create_all(postgresql)
    source = tmp_path / "upload"
    source.write_text("code,name\nA1,ours\n")
    with postgresql.connect() as other, Session(postgresql) as session:
        other.execute(insert(table).values(code="A1", name="theirs", add_time=now, updated_at=now))
        finished: list[RefreshReport] = []
        importing = threading.Thread(target=lambda: finished.append(run(session, table, source, now)))
        importing.start()
        wait_for_a_waiting_backend(postgresql)
        other.commit()
        importing.join(30)
        session.commit()
        assert counts(finished[0]) == (1, 1, 0, 0, 0, 0)
        assert session.execute(select(table.c.name)).scalars().all() == ["ours"]


def test_imports_at_once_wait_for_each_other(postgresql: Engine, table: Table, tmp_path: Path, now: datetime) -> None:
    table.metadata.drop_all(postgresql)
    table.metadata.create_all(postgresql)
    codes = ["A1", "A2", "A3"]
    (tmp_path / "one").write_text("code,name\n" + "".join(f"{code},one\n" for code in codes))
    (tmp_path / "two").write_text("code,name\n" + "".join(f"{code},two\n" for code in reversed(codes)))
    with Session(postgresql) as first, Session(postgresql) as second:
        run(first, table, tmp_path / "one", now)
        finished: list[RefreshReport] = []
        importing = threading.Thread(target=lambda: finished.append(run(second, table, tmp_path / "two", now)))
        importing.start()
        wait_for_a_waiting_backend(postgresql)
        first.commit()
        importing.join(30)
        second.commit()
        assert counts(finished[0]) == (3, 0, 3, 0, 0, 0), "the second counts what the first has left"


def run(session: Session, table: Table, source: Path, now: datetime) -> RefreshReport:
    return refresh_parts(
        session,
        table,
        source,
        newer_than=None,
        rejected_path=source.with_suffix(".rejected"),
        timezone=UTC,
        now=now,
        on_progress=lambda current, total, message: None,
        batch_size=1,
    )


def wait_for_a_waiting_backend(engine: Engine) -> None:
    """Until one backend of the server waits for a lock of another; there is no event to wait on but this
    view.
    """
    waiting = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and pid <> pg_backend_pid()")
    for _ in range(10_000):
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                return
    pytest.fail("nothing waited")


def test_another_database_is_refused(table: Table, tmp_path: Path, now: datetime) -> None:
    source = tmp_path / "upload"
    source.write_text("code,name\nA1,Bolt\n")

    class Elsewhere(Session):
        def get_bind(self, *args: object, **kwargs: object) -> Engine:
            engine = create_engine("sqlite://")
            engine.dialect.name = "oracle"
            return engine

    with Elsewhere() as session, pytest.raises(ValueError, match="PostgreSQL or SQLite, not oracle"):
        run(session, table, source, now)
