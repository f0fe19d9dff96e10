"""A job's database work: committed when the job succeeds, rolled back when it fails.

Knows Flask-SQLAlchemy by the place it registers itself (``app.extensions["sqlalchemy"]``) and does nothing where an
application has none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask


@contextmanager
def job_transaction(app: Flask) -> Iterator[None]:
    """Commit ``db.session`` at the end of the block; roll it back when the block, or the commit, raises."""
    session = _session(app)
    if session is None:
        yield
        return
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise


def dispose_engines(app: Flask) -> None:
    """Forget every pooled connection without closing it (for a forked child)."""
    database = app.extensions.get("sqlalchemy")
    if database is None:
        return
    with app.app_context():
        for engine in database.engines.values():
            engine.dispose(close=False)


def _session(app: Flask) -> Any:
    """The session itself, not the proxy, which is another one in a context that the job may open."""
    database = app.extensions.get("sqlalchemy")
    return None if database is None else database.session()
