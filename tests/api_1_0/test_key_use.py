"""When a key was last used: kept without a write for each request, and never at a request's expense."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import event

from app import key_use
from app.api_keys import Scope, create_key, note_use, rotate_key
from app.extensions import db
from app.models import ApiKey
from tests.conftest import wait_until
from tests.installation import API, Installation


def key_id_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("_")[1]


def last_use(installation: Installation, key_id: str) -> datetime | None:
    with installation.app.app_context():
        row = db.session.get(ApiKey, key_id)
        assert row is not None
        return row.last_used_at


@contextmanager
def writes(installation: Installation) -> Iterator[list[str]]:
    """The statements meanwhile that change keys."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE api_keys"):
            seen.append(statement)

    with installation.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def call(installation: Installation, headers: dict[str, str], path: str = "/tasks") -> int:
    """Closed at its end, as a server does: what comes after the answer has come then."""
    with installation.client.get(API + path, headers=headers) as answer:
        return answer.status_code


def test_it_is_written_once_in_a_while_and_not_for_each_request(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = installation.headers("ann"), installation.headers("bob")
    before = datetime.now(UTC)

    with writes(installation) as seen:
        assert {call(installation, headers) for _ in range(50) for headers in (ann, bob)} == {200}
    assert len(seen) == 2
    first = last_use(installation, key_id_of(ann))
    assert first is not None
    assert before <= first <= datetime.now(UTC)

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + key_use.INTERVAL + 1)
    with writes(installation) as seen:
        assert call(installation, ann) == 200
    assert len(seen) == 1
    second = last_use(installation, key_id_of(ann))
    assert second is not None
    assert second > first


def test_it_is_written_when_the_answer_has_been_given(installation: Installation) -> None:
    headers = installation.headers("ann")

    with writes(installation) as seen:
        answer = installation.client.get(f"{API}/tasks", headers=headers)
        assert (answer.status_code, answer.json.keys(), seen) == (200, {"tasks"}, [])
        answer.close()
        assert len(seen) == 1


@pytest.mark.parametrize(("path", "status"), [("/results/x", 404), ("/jobs?x=1", 422)])
def test_a_call_that_fails_is_a_use_too(path: str, status: int, installation: Installation) -> None:
    headers = installation.headers("ann")

    assert call(installation, headers, path) == status
    assert last_use(installation, key_id_of(headers)) is not None


def test_a_call_without_the_scope_is_a_use_and_a_wrong_secret_is_none(installation: Installation) -> None:
    headers, unused = installation.headers("ann", Scope.CANCEL), installation.headers("ann")

    assert call(installation, headers) == 403
    assert last_use(installation, key_id_of(headers)) is not None
    assert call(installation, {"Authorization": unused["Authorization"][:-4] + "AAAA"}) == 401
    assert last_use(installation, key_id_of(unused)) is None


def test_a_database_that_is_busy_neither_fails_nor_delays_a_request(
    installation: Installation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = installation.headers("ann")
    with closing(sqlite3.connect(installation.folder / "var" / "taskgate.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with caplog.at_level(logging.WARNING):
            assert call(installation, headers) == 200
        # The connection's own patience is 5 s.
        assert time.monotonic() - begun < 3
        other.execute("ROLLBACK")

    assert f"The last use of the API key {key_id_of(headers)} could not be written" in caplog.text
    assert headers["Authorization"].split("_", 2)[2] not in caplog.text
    assert last_use(installation, key_id_of(headers)) is None
    monkeypatch.setattr(key_use, "INTERVAL", 0.0)
    installation.app.extensions["key_uses"] = key_use.KeyUses()
    assert call(installation, headers) == 200
    assert last_use(installation, key_id_of(headers)) is not None
    with installation.app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 5000


def test_an_earlier_use_does_not_replace_a_later_one(installation: Installation) -> None:
    key_id, now = key_id_of(installation.headers("ann")), datetime.now(UTC)

    for used_at in (now, now - timedelta(minutes=1)):
        with installation.app.app_context(), db.engine.begin() as connection:
            note_use(connection, key_id, used_at)

    assert last_use(installation, key_id) == now


def test_a_server_writes_it(installation: Installation) -> None:
    server, headers = installation.start_api(), installation.headers("ann")

    assert httpx.get(f"{server.url}{API}/tasks", headers=headers, timeout=30).status_code == 200

    wait_until(lambda: last_use(installation, key_id_of(headers)), what="the last use")


def test_a_key_that_was_to_end_is_followed_by_one_of_the_same_life(installation: Installation) -> None:
    with installation.app.app_context():
        session, now = db.session(), datetime.now(UTC)
        key = create_key(session, "ann", {Scope.READ}, expires_at=now + timedelta(minutes=10))
        session.flush()
        row = session.get(ApiKey, key.split("_")[1])
        assert row is not None
        row.created_at = now - timedelta(minutes=50)

        rotation = rotate_key(session, row.id, grace=timedelta(hours=2))
        session.rollback()

    assert rotation is not None
    assert rotation.key not in repr(rotation)
    assert rotation.expires_at is not None
    assert (rotation.expires_at - now).total_seconds() == pytest.approx(3600, abs=5)
    # The grace does not lengthen the old one's life.
    assert rotation.old_ends_at == now + timedelta(minutes=10)
