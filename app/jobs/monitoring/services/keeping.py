"""What is kept of the past: an hour's figures, and no sample for longer than the operator wants."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from app.write_lock import wait_to_write

#: Rows that one transaction deletes, so that nobody waits for it for long, and that one call deletes.
BATCH = 1_000
MOST = 200_000


def keep_summaries(
    session: Session, table: Table, rows: Iterable[Mapping[str, Any]], *, start: datetime, end: datetime
) -> int:
    """Write the figures of a window in the place of what was kept of it. Returns: how many rows there are."""
    kept = [{**row, "window_start": start, "window_end": end} for row in rows]
    wait_to_write(session)
    session.execute(delete(table).where(table.c.window_end == end))
    if kept:
        session.execute(insert(table), kept)
    return len(kept)


def delete_old(
    session: Session, table: Table, column: str, *, before: datetime, batch: int = BATCH, most: int = MOST
) -> int:
    """Delete the rows whose ``column`` is before this time, the oldest first, and commit after each ``batch``.

    Returns: how many were deleted; what is over ``most`` is left to the next call.
    """
    ids, time = table.c.id, table.c[column]
    gone = 0
    while gone < most:
        oldest = select(ids).where(time < before).order_by(time).limit(min(batch, most - gone))
        wait_to_write(session)
        deleted = session.connection().execute(delete(table).where(ids.in_(oldest.scalar_subquery()))).rowcount
        session.commit()
        gone += deleted
        if deleted < batch:
            break
    return gone
