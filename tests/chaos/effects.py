"""What the jobs leave in SQL: a row for each time that a job's effect was applied."""

from __future__ import annotations

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

#: No unique constraint: an effect that is applied twice is a second row.
_TABLE = text("CREATE TABLE chaos_effects (task_id VARCHAR(40) NOT NULL, run VARCHAR(40) NOT NULL)")

#: Executed by the jobs, in their own session.
INSERT = text("INSERT INTO chaos_effects (task_id, run) VALUES (:task_id, :run)")


def make_table(database_url: str) -> None:
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(_TABLE)
    engine.dispose()


def applied_effects(database_url: str) -> list[tuple[str, str]]:
    """Every row: task id and run."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT task_id, run FROM chaos_effects")).all()
    engine.dispose()
    return [(task_id, run) for task_id, run in rows]
