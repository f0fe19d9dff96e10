"""The maintenance jobs in a real worker's pool process: a fork of it works with them, and ends with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import psutil
import pytest
from sqlalchemy import insert

from app.extensions import db
from app.jobs.maintenance.models import Part
from bench.matching.generator import generate
from libs.flask_celery import JobRecord, JobState
from tests.conftest import Worker, wait_until
from tests.installation import API, Installation, an_installation

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one core no fork is worth it"),
]
PARTS = 8_000


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("cores")) as installation:
        with installation.app.app_context():
            now = datetime.now(UTC)
            rows = [{**row, "add_time": now, "updated_at": now} for row in generate(PARTS)[0]]
            db.session.execute(insert(Part), rows)
            db.session.commit()
        yield installation


@pytest.fixture(scope="module")
def worker(installation: Installation) -> Worker:
    return installation.start_worker("--pool", "prefork", "--concurrency", "1", "-Q", "default,compute")


def forks_of(worker: Worker) -> list[psutil.Process]:
    """Of its pool's only process."""
    forks = []
    for process in psutil.Process(worker.process.pid).children():
        forks += process.children()
    return forks


def submitted(installation: Installation, task: str, **params: object) -> str:
    answer = installation.client.post(f"{API}/tasks/{task}/jobs", json=params, headers=installation.headers())
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def record_of(installation: Installation, task_id: str) -> JobRecord:
    return installation.backend.records.get(task_id)


def seen_with_a_fork(installation: Installation, worker: Worker, task_id: str) -> bool:
    seen: list[psutil.Process] = []

    def done() -> bool:
        seen.extend(forks_of(worker))
        return record_of(installation, task_id).state.ready

    wait_until(done, timeout=60, what="the end of the job")
    record = record_of(installation, task_id)
    assert record.state is JobState.SUCCESS, record.failure
    assert not any(fork.is_running() for fork in seen)
    return bool(seen)


def test_a_matching_uses_a_fork(installation: Installation, worker: Worker) -> None:
    task_id = submitted(installation, "maintenance.match_self_table")

    assert seen_with_a_fork(installation, worker, task_id)
    assert record_of(installation, task_id).result["parts"] == PARTS


def test_a_refresh_uses_a_fork(installation: Installation, worker: Worker) -> None:
    lines = [f"B{number:07},Bolt of number {number},{number % 977}.5" for number in range(50_000)]
    file_id = installation.upload("ann", "\n".join(["code,name,price", *lines]).encode())

    task_id = submitted(installation, "maintenance.refresh_onboard_table", file_id=file_id)

    assert seen_with_a_fork(installation, worker, task_id)
    assert record_of(installation, task_id).result["inserted"] == 50_000


def test_a_cancelled_refresh_leaves_no_fork(installation: Installation, worker: Worker) -> None:
    """Nor anything in the table; the worker goes on."""
    lines = [f"C{number:07},Bolt of number {number},{number % 977}.5" for number in range(200_000)]
    file_id = installation.upload("ann", "\n".join(["code,name,price", *lines]).encode())
    task_id = submitted(installation, "maintenance.refresh_onboard_table", file_id=file_id)
    wait_until(lambda: forks_of(worker) or record_of(installation, task_id).state.ready, what="a fork")

    answer = installation.client.delete(f"{API}/jobs/{task_id}", headers=installation.headers())

    assert answer.status_code == 202, answer.text
    wait_until(lambda: record_of(installation, task_id).state.ready, timeout=60, what="the end of the job")
    assert record_of(installation, task_id).state is JobState.REVOKED
    wait_until(lambda: not forks_of(worker), what="the end of the fork")
    with installation.app.app_context():
        assert db.session.query(Part).filter(Part.code.startswith("C0")).count() == 0
