"""Schedules with real beats, a worker and gunicorn: once for each due time, while beats stop and are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.jobs.schedules import SCHEDULES
from libs.flask_celery import JobRecord
from libs.flask_celery.schedules.due_times import as_ms
from libs.flask_celery.schedules.firing import due_task_id
from tests.conftest import ROOT, wait_until
from tests.installation import API, PATIENT, Installation, an_installation

pytestmark = pytest.mark.long

ADDS = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}

#: Of beat's loop, in seconds.
INTERVAL = 0.5

#: Seconds within which another beat leads: ten of them, one to look, and what a busy machine takes.
TAKEOVER = 20.0

IN_CODE = {
    "sums in code": {"task": "maintenance.adds", "schedule": 1.0, "kwargs": {"a": 20, "b": 22}},
    "mornings": {
        "task": "maintenance.adds",
        "schedule": {"cron": "0 10,17 * * *", "timezone": "Asia/Shanghai"},
        "kwargs": {"a": 1, "b": 1},
    },
}


class Beat:
    """A real ``celery beat``, started as an operator starts it."""

    def __init__(self, installation: Installation, name: str) -> None:
        self.log_path = installation.folder / f"beat-{name}.log"
        command = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app", "beat", "--pidfile", ""]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--loglevel", "INFO"], env=installation.environment, cwd=ROOT, stdout=log, stderr=log
            )
        installation.processes.callback(self.end, signal.SIGKILL)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def leads(self) -> bool:
        assert self.process.poll() is None, self.log
        return self.log.rfind("This beat leads") > self.log.rfind("Another beat leads")

    def wait_started(self) -> Beat:
        wait_until(lambda: "beat: Starting" in self.log, timeout=60, what="beat")
        return self

    def end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)


class Service:
    """What a client of it sees, and its two beats."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        url = installation.start_api().url
        self.client = httpx.Client(base_url=url, headers=installation.headers("ann"), timeout=30)
        self.beats = [Beat(installation, name).wait_started() for name in ("one", "two")]
        wait_until(lambda: any(beat.leads for beat in self.beats), timeout=60, what="a beat that leads")

    @property
    def leading(self) -> Beat:
        [beat] = [beat for beat in self.beats if beat.leads]
        return beat

    @property
    def waiting(self) -> Beat:
        [beat] = [beat for beat in self.beats if not beat.leads]
        return beat

    def make(self, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{API}/schedules", json={**ADDS, **body})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def change(self, made: dict[str, Any], **body: Any) -> dict[str, Any]:
        return dict(self.client.patch(made["links"]["self"], json=body).raise_for_status().json())

    def jobs(self, made: dict[str, Any]) -> list[JobRecord]:
        """Those of one schedule, newest first."""
        records = self.installation.backend.records.newest("ann")
        return [record for _, record in records if record.schedule_id == made["id"]]

    def wait_for_jobs(self, made: dict[str, Any], count: int, timeout: float = 60) -> list[JobRecord]:
        wait_until(lambda: len(self.jobs(made)) >= count, timeout=timeout, what=f"{count} jobs")
        return self.jobs(made)

    def stop(self, made: dict[str, Any]) -> list[int]:
        """Pause it. Returns: the due times since it was made, in ms; each has a job of a known id."""
        self.change(made, enabled=False)
        first = as_ms(datetime.fromisoformat(made["next_runs"][0]))
        return list(range(first, as_ms(datetime.now(UTC)) + 1, made["every"] * 1000))

    def run_due_times(self, made: dict[str, Any], due_times: list[int]) -> list[int]:
        """Those that have a job. Every job must be one of theirs, and be a success."""
        celery_app = self.installation.app.extensions["celery"]
        due_of = {due_task_id(celery_app, made["id"], due): due for due in due_times}
        wait_until(lambda: all(job.state.ready for job in self.jobs(made)), timeout=60, what="the jobs' ends")
        jobs = self.jobs(made)
        assert {job.task_id for job in jobs} <= due_of.keys()
        assert len(jobs) == len({job.task_id for job in jobs})
        assert {job.result for job in jobs} == {3}
        return sorted(due_of[job.task_id] for job in jobs)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Not about a disk that is slow to sync, which the API answers with 503.
    beat = {"CELERY_BEAT_SCHEDULE": json.dumps(IN_CODE), "CELERY_BEAT_MAX_LOOP_INTERVAL": str(INTERVAL)}
    settings = {"SCHEDULE_MIN_INTERVAL": "1", **beat, **PATIENT}
    with an_installation(Path(tmp_path_factory.mktemp("beat")), **settings) as installation:
        installation.start_worker("--pool", "threads", "--concurrency", "2")
        service = Service(installation)
        yield service
        service.client.close()


def test_two_beats_submit_each_due_time_once_and_skip_none(service: Service) -> None:
    made = service.make(every=1)

    service.wait_for_jobs(made, 5)

    due_times = service.stop(made)
    ran = service.run_due_times(made, due_times)
    assert len(ran) >= 5
    assert ran == due_times[: len(ran)]
    assert len(due_times) - len(ran) <= 1  # the pause may have come in the ms between


def test_a_paused_schedule_runs_no_more_until_it_goes_on(service: Service) -> None:
    made, other = service.make(every=1), service.make(every=1)
    service.wait_for_jobs(made, 1)
    service.change(made, enabled=False)
    before = len(service.jobs(made))

    service.wait_for_jobs(other, len(service.jobs(other)) + 3)

    assert len(service.jobs(made)) - before <= 1  # one that beat had in its hands
    service.change(made, enabled=True)
    service.wait_for_jobs(made, before + 3)
    for one in (made, other):
        assert service.client.delete(one["links"]["self"]).status_code == 204


def test_run_now_runs_one_that_is_paused(service: Service) -> None:
    made = service.make(cron="0 10,17 * * *", timezone="Asia/Shanghai", enabled=False)

    answer = service.client.post(made["links"]["run"])

    assert answer.status_code == 202
    [job] = service.wait_for_jobs(made, 1)
    assert job.task_id == answer.json()["task_id"]
    wait_until(lambda: service.client.get(answer.headers["Location"]).json()["result"] == 3, what="its result")


def test_schedules_in_code_are_listed_and_run(service: Service) -> None:
    def shown() -> dict[str, dict[str, Any]]:
        listed = service.client.get(f"{API}/schedules").json()["schedules"]
        return {one["id"]: one for one in listed if one["source"] == "code"}

    assert shown().keys() == IN_CODE.keys() | SCHEDULES.keys()
    assert {time[11:16] for time in shown()["mornings"]["next_runs"]} == {"02:00", "09:00"}
    ran_at = shown()["sums in code"]["last_run_at"]
    wait_until(lambda: shown()["sums in code"]["last_run_at"] not in (None, ran_at), what="its run")


def test_a_beat_that_is_stopped_hands_over_and_no_due_time_is_skipped(service: Service) -> None:
    made = service.make(every=2)
    service.wait_for_jobs(made, 1)
    stopped, waiting = service.leading, service.waiting

    stopped.end(signal.SIGTERM)
    wait_until(lambda: waiting.leads, timeout=TAKEOVER, what="the other's lead")

    service.beats = [waiting, Beat(service.installation, "three").wait_started()]
    service.wait_for_jobs(made, len(service.jobs(made)) + 2)
    due_times = service.stop(made)
    ran = service.run_due_times(made, due_times)
    assert ran == due_times[: len(ran)]
    assert len(due_times) - len(ran) <= 1


def test_when_the_leading_beat_is_killed_the_other_goes_on_and_nothing_is_lost_or_repeated(service: Service) -> None:
    fast, slow = service.make(every=1), service.make(every=7)
    service.wait_for_jobs(fast, 2)
    killed, waiting = service.leading, service.waiting

    killed.end(signal.SIGKILL)
    killed_at = time.monotonic()
    wait_until(lambda: waiting.leads, timeout=TAKEOVER, what="the other's lead")
    gap = time.monotonic() - killed_at

    service.beats = [waiting]
    service.wait_for_jobs(fast, len(service.jobs(fast)) + 3)
    # Of the slow one a due time fell into the gap, or next to it. It was not lost.
    due_times = service.stop(slow)
    assert service.run_due_times(slow, due_times) == due_times
    # Of the fast one several did, and the newest of them was run for all.
    due_times = service.stop(fast)
    ran = service.run_due_times(fast, due_times)
    missing = [due for due in due_times[:-1] if due not in ran]
    assert not missing or missing[-1] - missing[0] <= gap * 1000
    assert len(missing) <= gap


def test_a_single_beat_that_is_killed_and_started_again_goes_on(service: Service) -> None:
    """As a supervisor does it; nobody takes over meanwhile."""
    alone = next(beat for beat in service.beats if beat.leads)
    for other in [beat for beat in service.beats if beat is not alone]:
        other.end(signal.SIGKILL)
        service.beats.remove(other)
    made = service.make(every=6)
    service.wait_for_jobs(made, 1)

    alone.end(signal.SIGKILL)
    again = Beat(service.installation, "four").wait_started()
    wait_until(lambda: again.leads, timeout=TAKEOVER + 10, what="its lead")
    service.wait_for_jobs(made, 2)

    due_times = service.stop(made)
    ran = service.run_due_times(made, due_times)
    # Of those that fell into the gap it has run the newest, for all.
    assert ran[0] == due_times[0]
    assert ran[-1] >= due_times[-1] - 6_000
    assert len(due_times) - len(ran) <= 3
