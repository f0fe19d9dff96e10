"""The tasks as plain functions: without targets, with an earlier setting's names, and what they accept."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.extensions import db
from app.jobs.monitoring import tasks
from app.jobs.monitoring.services.collecting import add_probes
from app.jobs.monitoring.services.host import measure_host
from app.jobs.monitoring.services.probing import Probe
from app.jobs.schedules import SCHEDULES
from config import Config
from libs.flask_celery import FlaskCelery
from tests.conftest import built_app
from tests.installation import API, assert_problem
from tests.jobs.monitoring.probe_targets import Targets

URL = f"{API}/tasks/monitoring.aggregate_metrics/jobs"
OWN = {name: entry for name, entry in SCHEDULES.items() if name.startswith("monitoring.")}


@pytest.fixture
def in_context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("in_context")
def test_without_targets_the_host_is_measured() -> None:
    assert tasks.collect_metrics() == {"probed": 0, "up": 0}

    answer = tasks.aggregate_metrics()

    assert {(metric["kind"], metric["name"]) for metric in answer["metrics"]} == {("host", socket.gethostname())}
    assert len(answer["metrics"]) == 6
    [row] = db.session.execute(select(tasks.HOSTS)).all()
    assert 0 <= row.cpu_percent <= 100
    assert 0 < row.memory_percent <= 100
    assert 0 < row.disk_percent <= 100


@pytest.mark.usefixtures("in_context")
def test_with_nothing_measured_at_all_there_is_an_answer() -> None:
    assert tasks.aggregate_metrics()["metrics"] == []


def test_a_collector_probes_what_its_own_setting_names(config: Config, targets: Targets) -> None:
    named = f"shop={targets.url}/quick,down={targets.refusing},other={targets.url}/other"
    with built_app(replace(config, monitor_targets=named)) as app, app.app_context():
        found = tasks.collect_metrics(targets=["shop", "down", f"{targets.url}/secret", "gone"], host=False)

        rows = db.session.execute(select(tasks.PROBES).order_by(tasks.PROBES.c.target)).all()
    assert found == {"probed": 2, "up": 1}
    assert [(row.target, row.is_up, row.error) for row in rows] == [
        ("down", False, "connection"),
        ("shop", True, None),
    ]
    assert targets.seen == ["/quick"]


@pytest.mark.usefixtures("in_context")
def test_what_is_older_than_the_retention_is_deleted(config: Config) -> None:
    now = datetime.now(UTC)
    for age in (config.monitor_retention + 1, config.monitor_retention - 1):
        add_probes(db.session(), tasks.PROBES, [Probe("shop", 200, 1, None)], at=now - timedelta(days=age))

    answer = tasks.keep_summaries(tasks.aggregate_metrics(minutes=1, series=False))

    assert answer == {"kept": 0, "deleted": 1}


def test_host_figures_are_those_of_psutil(config: Config, app: Flask) -> None:
    first, second = measure_host(config.data_dir), measure_host(config.data_dir)

    assert second.sent_bytes >= first.sent_bytes > 0
    assert second.received_bytes >= first.received_bytes > 0


@pytest.mark.parametrize("task", ["collect_metrics", "collect_and_aggregate", "keep_summaries"])
def test_clients_cannot_collect_or_write(client: FlaskClient, auth: dict[str, str], task: str) -> None:
    assert_problem(client.post(f"{API}/tasks/monitoring.{task}/jobs", json={}, headers=auth), 404)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"minutes": 0}, "minutes"),
        ({"minutes": 10_081}, "minutes"),
        ({"minutes": "60"}, "minutes"),
        ({"until": "2026-11-27T12:00:00"}, "until"),
        ({"targets": []}, "targets"),
        ({"targets": ["x" * 129]}, "targets"),
        ({"series": "yes"}, "series"),
        ({"url": "http://169.254.169.254/"}, "url"),
    ],
)
def test_params_are_checked(client: FlaskClient, auth: dict[str, str], params: dict[str, object], field: str) -> None:
    assert_problem(client.post(URL, json=params, headers=auth), 422, field)


@pytest.mark.usefixtures("in_context")
@pytest.mark.parametrize("until", ["0001-01-01T00:30:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_window_at_the_ends_of_the_calendar_is_an_empty_one(until: str) -> None:
    """Its beginning, or its end in UTC, would lie outside."""
    assert tasks.aggregate_metrics(until=datetime.fromisoformat(until))["metrics"] == []


def test_each_minute_of_an_hour_has_one_collection(app: Flask) -> None:
    celery_app: FlaskCelery = app.extensions["celery"]
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    due: list[int] = []
    for entry in OWN.values():
        assert entry["task"] in celery_app.tasks
        for time in entry["schedule"].times_after(noon - timedelta(seconds=1)):
            if time >= noon + timedelta(hours=1):
                break
            due.append(time.minute)

    assert sorted(due) == list(range(60))


@pytest.mark.parametrize(
    ("now", "hour"),
    [
        ("12:59:00", "13:00"),
        ("12:59:59", "13:00"),
        ("13:20:00", "13:00"),
        ("13:30:00", "14:00"),
        ("23:59:00", "00:00"),
    ],
)
def test_the_hour_is_the_one_that_ends_nearest(now: str, hour: str) -> None:
    """Beat's job may be late."""
    at = datetime.fromisoformat(f"2026-11-27T{now}Z")

    assert f"{tasks.end_of_hour(at):%H:%M}" == hour


def test_descriptions_say_what_the_figures_are(client: FlaskClient, auth: dict[str, str]) -> None:
    shown = client.get(f"{API}/tasks/monitoring.aggregate_metrics", headers=auth).json

    assert shown["queue"] == "for_task_compute"
    assert re.search(r"Percentiles are linearly interpolated", shown["description"])


def test_workers_take_each_from_its_queue(app: Flask, make_key: Callable[..., str]) -> None:
    celery_app: FlaskCelery = app.extensions["celery"]
    router = celery_app.amqp.router

    queues = {
        name: router.route(task._get_exec_options(), name, task_type=task)["queue"].name
        for name, task in celery_app.tasks.items()
        if name.startswith("monitoring.")
    }

    assert queues == {
        "monitoring.aggregate_metrics": "for_task_compute",
        "monitoring.collect_and_aggregate": "for_task_collect",
        "monitoring.collect_metrics": "for_task_collect",
        "monitoring.keep_summaries": "for_task_compute",
    }
