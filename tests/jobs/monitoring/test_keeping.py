"""Samples and summaries in SQL: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from app.extensions import db
from app.jobs.monitoring.services.aggregating import Summary, summarize_hosts, summarize_targets
from app.jobs.monitoring.services.collecting import add_host, add_probes
from app.jobs.monitoring.services.host import HostFigures
from app.jobs.monitoring.services.keeping import delete_old, keep_summaries
from app.jobs.monitoring.services.probing import Probe
from app.jobs.monitoring.tasks import HOSTS, PROBES, SUMMARIES
from config import Config
from tests.conftest import built_app

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = {"start": NOON, "end": NOON + timedelta(hours=1)}


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request: pytest.FixtureRequest, config: Config) -> Iterator[Session]:
    if request.param == "sqlite":
        with built_app(config) as app:
            yield from session_of(app)
        return
    server: Engine = request.getfixturevalue("postgresql")
    name = f"monitoring_{uuid4().hex}"
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = server.url.set(database=name).render_as_string(hide_password=False)
        with built_app(replace(config, database_url=url)) as app:
            yield from session_of(app)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def session_of(app: Flask) -> Iterator[Session]:
    with app.app_context():
        yield db.session()


def probe_at(session: Session, minute: float, target: str, latency: float | None, status: int | None = 200) -> None:
    at = NOON + timedelta(minutes=minute)
    add_probes(session, PROBES, [Probe(target, status, latency, None if status else "timeout")], at=at)


def host_at(session: Session, minute: float, cpu: float, sent: int) -> None:
    add_host(session, HOSTS, HostFigures("one", cpu, 50, 60, 0.5, sent, 0), at=NOON + timedelta(minutes=minute))


def by_name(summaries: Iterator[Summary]) -> dict[str, Summary]:
    return {summary.name: summary for summary in summaries}


def test_a_window_has_its_beginning_and_not_its_end(session: Session) -> None:
    for minute in (-0.1, 0, 30, 59.9, 60):
        probe_at(session, minute, "shop", 100 + minute)

    [shop] = summarize_targets(session, PROBES, **HOUR, known=["shop"], only=False)

    assert (shop.figures.samples, shop.figures.min, shop.figures.p95) == (3, 100, pytest.approx(130 + 0.9 * 29.9))
    assert shop.series.at == ("2026-11-27T12:00:00Z", "2026-11-27T12:30:00Z", "2026-11-27T12:59:00Z")


def test_a_target_that_is_down_has_no_latency_even_where_it_answered(session: Session) -> None:
    for minute, (latency, status) in enumerate([(10, 200), (1, 500), (None, None), (30, 302)]):
        probe_at(session, minute, "shop", latency, status)

    [shop] = summarize_targets(session, PROBES, **HOUR, known=[], only=False)

    assert shop.row() == {
        "kind": "target",
        "name": "shop",
        "metric": "latency_ms",
        "samples": 4,
        "failed": 2,
        "availability": 0.5,
        "min": 10,
        "median": 20,
        "p95": 29,
        "p99": 29.8,
    }
    assert shop.series.value == (10, None, None, 30)


def test_known_targets_are_answered_without_samples_and_others_unless_left_out(session: Session) -> None:
    probe_at(session, 1, "former", 10)
    probe_at(session, 1, "shop", 10)

    everything = by_name(summarize_targets(session, PROBES, **HOUR, known=["shop", "new"], only=False))
    some = by_name(summarize_targets(session, PROBES, **HOUR, known=["shop", "new"], only=True))

    assert everything.keys() == {"former", "shop", "new"}
    assert some.keys() == {"shop", "new"}
    assert (some["new"].figures.samples, some["new"].figures.availability) == (0, None)


def test_hosts_have_levels_and_rates_and_no_availability(session: Session) -> None:
    for minute, (cpu, sent) in enumerate([(10, 0), (20, 600), (30, 6_600)]):
        host_at(session, minute, cpu, sent)

    rows = {summary.metric: summary.row() for summary in summarize_hosts(session, HOSTS, **HOUR)}

    assert list(rows) == [
        *("cpu_percent", "memory_percent", "disk_percent", "load_1"),
        *("sent_bytes_per_second", "received_bytes_per_second"),
    ]
    assert (rows["cpu_percent"]["median"], rows["cpu_percent"]["availability"]) == (20, None)
    sent = rows["sent_bytes_per_second"]
    assert (sent["samples"], sent["min"], sent["median"]) == (2, 10, 55)


def test_what_is_kept_of_a_window_is_replaced(session: Session) -> None:
    probe_at(session, 1, "shop", 10)
    [shop] = summarize_targets(session, PROBES, **HOUR, known=[], only=False)
    next_hour = {"start": HOUR["end"], "end": HOUR["end"] + timedelta(hours=1)}

    for window in (HOUR, next_hour, HOUR):
        assert keep_summaries(session, SUMMARIES, [shop.row()], **window) == 1

    kept = session.execute(select(SUMMARIES).order_by(SUMMARIES.c.window_end)).all()
    assert [(row.window_start, row.name, row.median) for row in kept] == [
        (NOON, "shop", 10),
        (HOUR["end"], "shop", 10),
    ]


def test_old_rows_are_deleted_in_bounded_batches_and_no_others(session: Session) -> None:
    for number in range(25):
        probe_at(session, number, str(number), 10)
    session.commit()
    deleted: list[int] = []

    def note(_: object, cursor: object, statement: str, *__: object) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)  # type: ignore[attr-defined]

    limit = NOON + timedelta(minutes=20)
    event.listen(db.engine, "after_cursor_execute", note)
    first = delete_old(session, PROBES, "at", before=limit, batch=5, most=13)
    session.rollback()  # each batch has been committed
    left = session.scalars(select(PROBES.c.at).order_by(PROBES.c.at)).all()
    rest = delete_old(session, PROBES, "at", before=limit, batch=5)
    event.remove(db.engine, "after_cursor_execute", note)

    assert (first, left[0]) == (13, NOON + timedelta(minutes=13))
    assert (rest, deleted) == (7, [5, 5, 3, 5, 2])
    assert session.scalars(select(func.min(PROBES.c.at))).one() == limit
    assert session.scalar(select(func.count()).select_from(PROBES)) == 5
