"""Every queue that something is submitted to has somebody who takes it from there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.commands.stack import children, queue_workers
from app.jobs.queues import COLLECT, COMPUTE
from app.jobs.schedules import SCHEDULES
from config import Config
from libs.flask_celery import FlaskCelery, describe, job_specs, queues_in_use
from tests.conftest import ROOT, built_app
from tests.deployment.manifests import compose_processes, kubernetes_processes
from tests.functional.job_runs import probe_jobs

UNITS = ROOT / "deploy" / "systemd"


@pytest.fixture
def celery_app(app: Flask) -> FlaskCelery:
    celery_app: FlaskCelery = app.extensions["celery"]
    celery_app.finalize()
    return celery_app


def consumed_by_up(app: Flask, config: Config) -> list[str]:
    """From the commands that ``manage.py up`` starts."""
    commands = [spec.argv for spec in children(app, config, None, "http://127.0.0.1:1") if "worker" in spec.argv]
    lists = [argv[list(argv).index("--queues") + 1] for argv in commands]
    return [queue for queues in lists for queue in queues.split(",")]


def consumed_by_systemd() -> list[str]:
    """The instances that the target wants."""
    return re.findall(r"^Wants=taskgate-worker@(\S+)\.service$", (UNITS / "taskgate.target").read_text(), re.M)


def submitted_to(celery_app: FlaskCelery) -> set[str]:
    """By the declarations themselves, and not by what the commands ask."""
    jobs = [describe(celery_app, spec) for spec in job_specs(celery_app).values()]
    of_jobs = {queue for job in jobs for queue in job.queues}
    of_schedules = {entry.get("options", {}).get("queue", "default") for entry in SCHEDULES.values()}
    return of_jobs | of_schedules | {"default", COLLECT, COMPUTE}


def test_every_queue_has_one_kind_of_worker_in_up(app: Flask, config: Config, celery_app: FlaskCelery) -> None:
    consumed = consumed_by_up(app, replace(config, worker_concurrency=1))

    assert set(consumed) >= submitted_to(celery_app)
    assert len(consumed) == len(set(consumed))


@pytest.mark.parametrize(
    ("processors", "places", "workers"),
    [(2, 1, [1]), (2, 2, [1, 1]), (2, 5, [3, 2]), (4, 3, [1, 1, 1]), (None, 2, [2])],
)
def test_the_usual_queues_have_a_worker_for_each_processor(
    processors: int | None,
    places: int,
    workers: list[int],
    app: Flask,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)

    usual = [worker for worker in queue_workers(app, replace(config, worker_concurrency=places)) if worker.number]

    assert [worker.concurrency for worker in usual] == workers
    assert {worker.queues for worker in usual} == {("default",)}
    assert len({worker.hostname for worker in usual}) == len({worker.name for worker in usual}) == len(workers)


def test_every_queue_has_a_worker_under_systemd(celery_app: FlaskCelery) -> None:
    consumed = consumed_by_systemd()

    assert set(consumed) >= submitted_to(celery_app) | queues_in_use(celery_app)
    assert len(consumed) == len(set(consumed))


def test_queues_of_jobs_to_come_get_a_worker_in_up(environment: dict[str, str], config: Config) -> None:
    """Of jobs, of what may be chosen for them, of schedules, and of webhooks."""
    schedule = '{"sums": {"task": "maintenance.adds", "schedule": 60, "options": {"queue": "nightly"}}}'
    config = replace(config, webhook_queue="hooks", celery={"CELERY_BEAT_SCHEDULE": schedule})
    with probe_jobs(), built_app(config) as app:
        app.extensions["celery"].finalize()
        consumed = set(consumed_by_up(app, config))
        in_use = queues_in_use(app.extensions["celery"])

    assert consumed >= {"default", "fast", "slow", "nightly", "hooks"}
    assert in_use >= {"default", "fast", "slow", "nightly"}


def test_the_operators_own_queues_stay_with_the_usual_ones(environment: dict[str, str], config: Config) -> None:
    queues = '{"main": {"exchange": "main"}, "for_task_compute": {}}'
    settings = {"CELERY_TASK_QUEUES": queues, "CELERY_TASK_DEFAULT_QUEUE": "main"}
    config = replace(config, deployment="acme", celery=settings)
    with built_app(config) as app:
        workers = queue_workers(app, config)

    usual = [worker for worker in workers if worker.number]
    assert {frozenset(worker.queues) for worker in usual} == {frozenset({"main", COMPUTE})}
    assert sum(worker.concurrency for worker in usual) == config.worker_concurrency
    others = [worker for worker in workers if not worker.number]
    assert [(worker.queues, worker.concurrency) for worker in others] == [((COLLECT,), 1)]


def test_every_queue_has_a_worker_in_compose_and_kubernetes(celery_app: FlaskCelery) -> None:
    for processes in (compose_processes(), kubernetes_processes()):
        consumed = [queue for process in processes for queue in process.queues]

        assert set(consumed) == submitted_to(celery_app) | queues_in_use(celery_app)
        assert len(consumed) == len(set(consumed))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_units_are_valid() -> None:
    """As ``make lint`` has it, with the programs of this environment in the place of those to be installed."""
    outcome = subprocess.run(
        [UNITS / "verify.sh", Path(sys.executable).parent], capture_output=True, text=True, timeout=60, check=False
    )

    assert (outcome.returncode, outcome.stderr) == (0, "")
