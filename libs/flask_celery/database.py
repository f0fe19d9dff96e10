"""A job's database work: committed when the job succeeds, rolled back when it fails.

Knows Flask-SQLAlchemy by the place it registers itself (``app.extensions["sqlalchemy"]``) and does nothing where an
application has none.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import SQLITE_BUSY
from typing import Any

from celery import states
from celery.exceptions import TaskPredicate
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import Session
from sqlalchemy.util import ScopedRegistry

from libs.flask_celery.completions import Completion, Completions, sqlite_code

logger = logging.getLogger(__name__)

#: SQLSTATE of a transaction that the database has broken off for the company it was in, not for what it did:
#: serialization failure and deadlock.
_BROKEN_OFF = ("40001", "40P01")


@contextmanager
def job_transaction(app: Flask) -> Iterator[None]:
    """Commit ``db.session`` at the end of the block; roll it back when the block, or the commit, raises."""
    find = _session_finder(app)
    try:
        yield
        if (session := find()) is not None:
            session.commit()
    except BaseException:
        if (session := find()) is not None:
            session.rollback()
        raise


def run_once(task: Any, run: Callable[[], Any]) -> Any:
    """Run a transactional job, unless a run of it was committed: its work and its completion commit together.

    Of two runs at once one commits. The other is rolled back, whatever it has met, and answers as the first. While
    the database cannot tell whether the job is completed, or has refused a transaction that may well succeed later,
    the job is retried, within its ``max_retries``.

    Returns: the result of the run that was committed.
    Raises: what the run raises, rolled back; TypeError for a result that is not JSON; SettingError where completions
        cannot be kept; Retry.
    """
    completions = Completions(task.app.flask_app)
    session, request = completions.session(), task.request
    try:
        completion = completions.find(request.id)
    except DBAPIError as error:
        raise _run_later(task, error) from error
    if completion is not None:
        return _answer_as(completion, request)
    try:
        with job_transaction(task.app.flask_app):
            with _without_commits(session):
                result = run()
            stored = task.backend.encode_result(result, states.SUCCESS)
            completions.add(session, request.id, Completion(stored, request.active_job.record_fields()))
        return result
    except TaskPredicate:  # Ignore, Reject, or a Retry that is published already and must not be twice
        raise
    except Exception as error:
        try:
            completion = completions.find(request.id)
        except DBAPIError:
            raise _run_later(task, error) from error
        if completion is not None:
            logger.warning("Another run of job %s was committed first; this one answers as it did", request.id)
            return _answer_as(completion, request)
        if _is_worth_another_run(error):
            raise _run_later(task, error) from error
        raise


def was_committed(task: Any) -> bool:
    """Whether an earlier run of this job, a transactional one, has committed its work. Raises: as ``find``."""
    return bool(task.transactional) and Completions(task.app.flask_app).find(task.request.id) is not None


def dispose_engines(app: Flask) -> None:
    """Forget every pooled connection without closing it (for a forked child)."""
    database = app.extensions.get("sqlalchemy")
    if database is None:
        return
    with app.app_context():
        for engine in database.engines.values():
            engine.dispose(close=False)


def _session_finder(app: Flask) -> Callable[[], Any]:
    """What finds the session of this app context, if it has one by then: most small jobs never ask for it.

    The session itself, not the proxy, which is another one in a context that the job may open.
    """
    database = app.extensions.get("sqlalchemy")
    if database is None:
        return lambda: None
    registry = database.session.registry
    if not isinstance(registry, ScopedRegistry):
        session = database.session()
        return lambda: session
    scope = registry.scopefunc()
    return lambda: registry.registry.get(scope)


@contextmanager
def _without_commits(session: Session) -> Iterator[None]:
    """A commit of the job's own, savepoints aside, would be work that a second run does again."""

    def refuse(session: Session) -> None:
        if not session.in_nested_transaction():
            raise InvalidRequestError("A transactional job is committed when it returns, and must not commit itself")

    event.listen(session, "before_commit", refuse)
    try:
        yield
    finally:
        event.remove(session, "before_commit", refuse)


def _answer_as(completion: Completion, request: Any) -> Any:
    request.active_job.take_over(completion.record_fields)
    return completion.result


def _run_later(task: Any, error: Exception) -> Exception:
    """Publish a retry in 2, 6, 18 … seconds and return Celery's word for it. Raises: ``error`` after the last one."""
    retry: Exception = task.retry(exc=error, countdown=2 * 3**task.request.retries, throw=False)
    return retry


def _is_worth_another_run(error: Exception) -> bool:
    """Whether the same transaction may well succeed later: the database was locked, or has broken it off."""
    if not isinstance(error, DBAPIError):
        return False
    code = sqlite_code(error)
    if code is not None:
        return code & 0xFF == SQLITE_BUSY  # SQLITE_BUSY_SNAPSHOT too
    return getattr(error.orig, "sqlstate", None) in _BROKEN_OFF
