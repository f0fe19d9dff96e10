"""Monitoring: real targets, a real worker on each queue, and the chord from beat's job to the rows of the hour."""

from __future__ import annotations

import csv
import io
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chord
from flask import g
from sqlalchemy import Engine, select, text

from app.extensions import db
from app.jobs.monitoring.tasks import GROUP, HOSTS, PROBES, SUMMARIES
from libs.flask_celery import FlaskCelery, JobRecord, JobState, UnknownJobError
from tests.conftest import Worker, wait_until
from tests.installation import API, Installation, an_installation
from tests.jobs.monitoring.probe_targets import SLOW, http_targets

#: Rounds of collecting before anything is aggregated.
ROUNDS = 8

WAYS = {"quick": "/quick", "slow": "/slow", "broken": "/broken", "moved": "/moved"}
OTHERS = [f"other-{number:02}" for number in range(GROUP)]  # so that there are two groups of them
NAMES = [*WAYS, "refusing", *OTHERS]


class Monitored:
    """An installation with targets, and its jobs as ann sees them."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.celery: FlaskCelery = installation.app.extensions["celery"]
        self.headers = installation.headers("ann")

    def publish(self, name: str, **kwargs: Any) -> str:
        """In ann's name, so that she sees what comes of it."""
        with self.installation.app.app_context():
            g.principal = "ann"
            task_id: str = self.celery.tasks[f"monitoring.{name}"].apply_async(kwargs=kwargs).id
        return task_id

    def ended(self, task_id: str) -> JobRecord:
        def final() -> bool:
            try:
                return bool(self.celery.backend.records.get(task_id).state.ready)
            except UnknownJobError:
                return False

        wait_until(final, timeout=60, what=f"the end of {task_id}")
        record: JobRecord = self.celery.backend.records.get(task_id)
        return record

    def run(self, name: str, **kwargs: Any) -> JobRecord:
        record = self.ended(self.publish(name, **kwargs))
        assert record.state is JobState.SUCCESS, record
        return record

    def chord_of(self, until: datetime) -> JobRecord:
        """The chord of an hour from beat's job on. Returns: the job that ends it."""
        body = self.run("collect_and_aggregate", until=until.isoformat()).result
        assert self.ended(body).state is JobState.SUCCESS
        [last] = self.celery.AsyncResult(body).children
        return self.ended(last.id)

    def aggregated(self, **params: Any) -> dict[str, Any]:
        """The result as ann's client reads it."""
        url = f"{API}/tasks/monitoring.aggregate_metrics/jobs"
        submitted = self.installation.client.post(url, json=params, headers=self.headers)
        assert submitted.status_code == 202, submitted.json
        self.ended(submitted.json["task_id"])
        answer: dict[str, Any] = self.get(submitted.json["links"]["result"])
        assert answer["successful"], answer
        return answer

    def get(self, url: str) -> Any:
        return self.installation.client.get(url, headers=self.headers).json

    def jobs(self) -> dict[str, list[dict[str, Any]]]:
        """Ann's jobs, by task."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for job in self.get(f"{API}/jobs?limit=100")["jobs"]:
            found[job["task"].removeprefix("monitoring.")].append(job)
        return found

    def rows(self, table: Any) -> list[Any]:
        with self.installation.app.app_context():
            return list(db.session.execute(select(table).order_by(table.c.id)).all())


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """A worker for each queue, as an operator starts it, after some rounds of collecting."""
    with http_targets() as targets:
        urls = {name: f"{targets.url}{path}" for name, path in WAYS.items()} | {"refusing": targets.refusing}
        urls |= {name: f"{targets.url}/quick/{name}" for name in OTHERS}
        named = ",".join(f"{name}={url}" for name, url in urls.items())
        with an_installation(tmp_path_factory.mktemp("monitored"), MONITOR_TARGETS=named) as installation:
            monitored = Monitored(installation)
            with workers_for(installation, "for_task_collect", "for_task_compute"):
                for _ in range(ROUNDS):
                    monitored.run("collect_metrics", host=False, targets=[*WAYS, "refusing"])
                for _ in range(2):
                    monitored.run("collect_metrics", targets=[])
                yield monitored
        assert "/secret" not in targets.seen  # where /moved leads


@contextmanager
def workers_for(installation: Installation, *queues: str) -> Iterator[None]:
    """One for each; they start beside one another."""
    options = ("--pool", "threads", "--concurrency", "3")
    log_path = installation.folder / "worker.log"
    workers = [Worker(installation.environment, log_path, "-Q", queue, *options) for queue in queues]
    try:
        for worker in workers:
            worker.wait_ready()
        yield
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.stop()


def soon() -> datetime:
    """A full minute from which an hour back is all that the tests have collected."""
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {metric["name"]: metric for metric in answer["result"]["metrics"] if metric["kind"] == "target"}


def test_figures_are_those_of_an_independent_computation(monitored: Monitored) -> None:
    answer = monitored.aggregated(minutes=60)

    window = answer["result"]["window"]
    start, end = (datetime.fromisoformat(window[edge]) for edge in ("from", "until"))
    assert end - start == timedelta(hours=1)
    found = by_name(answer)
    rows = [row for row in monitored.rows(PROBES) if start <= row.at < end]
    for name in WAYS:
        probes = [row for row in rows if row.target == name]
        up = [row.latency_ms for row in probes if row.status is not None and row.status < 400]
        figures = found[name]
        assert figures["samples"] == len(probes) >= ROUNDS
        assert figures["availability"] == pytest.approx(len(up) / len(probes))
        if up:
            hundredths = statistics.quantiles(up, n=100, method="inclusive")
            expected = [min(up), statistics.median(up), hundredths[94], hundredths[98]]
            assert [figures[key] for key in ("min", "median", "p95", "p99")] == pytest.approx(expected, abs=0.002)


def test_targets_that_are_slow_broken_moved_and_refusing_are_told_apart(monitored: Monitored) -> None:
    found = by_name(monitored.aggregated(targets=[*WAYS, "refusing"]))

    assert {name: figures["availability"] for name, figures in found.items()} == {
        "quick": 1,
        "slow": 1,
        "broken": 0,
        "moved": 1,
        "refusing": 0,
    }
    assert found["quick"]["median"] < SLOW * 1000 <= found["slow"]["min"]
    assert (found["broken"]["median"], found["broken"]["failed"]) == (None, found["broken"]["samples"])
    rows = monitored.rows(PROBES)
    assert {row.status for row in rows if row.target == "broken"} == {500}
    assert {row.status for row in rows if row.target == "moved"} == {302}
    assert {(row.status, row.error) for row in rows if row.target == "refusing"} == {(None, "connection")}


def test_the_result_has_series_and_a_csv_file_of_the_same_figures(monitored: Monitored) -> None:
    answer = monitored.aggregated(minutes=5)

    for metric in answer["result"]["metrics"]:
        series = metric["series"]
        assert len(series["at"]) == len(series["value"]) == len(series["failed"])
        assert sum(series["failed"]) == metric["failed"]
        assert bool(series["at"]) is bool(metric["samples"])
    [file] = answer["files"]
    assert (file["name"], file["content_type"]) == ("metrics.csv", "text/csv")
    with monitored.installation.client.get(file["url"], headers=monitored.headers) as download:
        rows = list(csv.DictReader(io.StringIO(download.get_data(as_text=True))))
    figures = [{key: metric[key] for key in metric if key != "series"} for metric in answer["result"]["metrics"]]
    assert rows == [{key: "" if value is None else str(value) for key, value in one.items()} for one in figures]
    assert len(rows) == len(NAMES) + 6


def test_hosts_are_among_the_metrics(monitored: Monitored) -> None:
    metrics = monitored.aggregated(minutes=60)["result"]["metrics"]

    rows = monitored.rows(HOSTS)
    [cpu] = [metric for metric in metrics if metric["metric"] == "cpu_percent"]
    assert (cpu["name"], cpu["samples"], cpu["availability"]) == (rows[0].host, len(rows), None)
    assert cpu["median"] == pytest.approx(statistics.median(row.cpu_percent for row in rows), abs=0.001)


def test_an_empty_window_and_an_unknown_target_have_no_figures(monitored: Monitored) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()

    answer = monitored.aggregated(minutes=10, until=yesterday)
    unknown = by_name(monitored.aggregated(targets=["unknown"], series=False))

    assert by_name(answer).keys() == set(NAMES)
    nothing = {"samples": 0, "failed": 0, **dict.fromkeys(("availability", "min", "median", "p95", "p99"))}
    for figures in (*by_name(answer).values(), *unknown.values()):
        assert {key: figures[key] for key in nothing} == nothing
    assert unknown.keys() == {"unknown"}
    assert "series" not in unknown["unknown"]


def test_the_chord_of_an_hour_from_beats_job_to_what_is_kept(monitored: Monitored) -> None:
    before, until = monitored.jobs(), soon()

    keeping = monitored.chord_of(until)

    new = {task: jobs[: len(jobs) - len(before[task])] for task, jobs in monitored.jobs().items()}
    counts = {task: len(jobs) for task, jobs in new.items()}
    assert counts == {"collect_and_aggregate": 1, "collect_metrics": 3, "aggregate_metrics": 1, "keep_summaries": 1}
    assert {job["state"] for jobs in new.values() for job in jobs} == {"SUCCESS"}
    assert new["keep_summaries"][0]["task_id"] == keeping.task_id
    collected = [monitored.ended(job["task_id"]).result for job in new["collect_metrics"]]
    assert sorted(one["probed"] for one in collected) == [0, len(NAMES) - GROUP, GROUP]
    assert sum(one["up"] for one in collected) == len(NAMES) - 2
    [aggregate] = new["aggregate_metrics"]
    aggregated = monitored.ended(aggregate["task_id"])
    ended = [monitored.ended(job["task_id"]).finished_at for job in new["collect_metrics"]]
    assert aggregated.started_at is not None
    assert max(ended) <= aggregated.started_at  # type: ignore[type-var]
    assert [file.name for file in aggregated.files] == ["metrics.csv"]

    kept = [row for row in monitored.rows(SUMMARIES) if row.window_end == until]
    assert {row.name for row in kept if row.kind == "target"} == set(NAMES)
    figures = {metric["name"]: metric for metric in aggregated.result["metrics"] if metric["kind"] == "target"}
    assert figures["other-00"]["samples"] == 1  # which the chord's own head has collected
    assert figures["quick"]["samples"] > ROUNDS
    assert {row.name: (row.samples, row.median, row.p99) for row in kept if row.kind == "target"} == {
        name: (metric["samples"], metric["median"], metric["p99"]) for name, metric in figures.items()
    }
    # Once more, as after a worker's death: of the same hour there is nothing twice.
    assert monitored.chord_of(until).result == {"kept": len(kept), "deleted": 0}
    assert len([row for row in monitored.rows(SUMMARIES) if row.window_end == until]) == len(kept)


def test_a_collector_that_fails_ends_the_chord_and_what_others_found_stays(monitored: Monitored) -> None:
    """Not a target that is down; a bug, or a database that stays away."""
    tasks = {name.removeprefix("monitoring."): task for name, task in monitored.celery.tasks.items()}
    collect, before = tasks["collect_metrics"], len(monitored.rows(PROBES))
    with monitored.installation.app.app_context():
        g.principal = "ann"
        parts = [collect.si(targets=["quick"], host=False), collect.si(targets="no list")]
        body = chord(parts)(tasks["aggregate_metrics"].si(series=False))

    record = monitored.ended(body.id)
    assert record.failure is not None
    assert (record.state, record.owner, record.failure.type) == (JobState.FAILURE, "ann", "ChordError")
    wait_until(lambda: len(monitored.rows(PROBES)) == before + 1, what="the other's row")


def test_without_targets_the_chord_is_of_the_host_alone_on_postgresql_too(
    postgresql: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with postgresql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE monitoring_notes"))
    url = postgresql.url.set(database="monitoring_notes").render_as_string(hide_password=False)
    with an_installation(tmp_path_factory.mktemp("none"), DATABASE_URL=url) as installation:
        monitored = Monitored(installation)
        with workers_for(installation, "for_task_collect,for_task_compute"):
            assert monitored.chord_of(soon()).result == {"kept": 6, "deleted": 0}
        assert (len(monitored.rows(PROBES)), len(monitored.rows(HOSTS))) == (0, 1)
