"""``expires``, ``Cancel-After``, ``priority``, ``queue`` and retries of a submission, with real workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.flask_celery import JobState
from libs.flask_celery.deadline_keeper import GRACE
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API, PATIENT

#: What looking once a second, storing and a busy machine may add, in seconds.
MARGIN = 15.0

#: It is not about a Redis that is slow to sync, which the API answers with 503.
SHORT_LEASES = {
    **PATIENT,
    "CELERY_BROKER_TRANSPORT_OPTIONS": (
        '{"socket_timeout": 20, "visibility_timeout": 3, "unacked_restore_interval": 0.5}'
    ),
}


class Service:
    """Jobs of ann's, whose queue ``slow`` nobody consumes from; they are submitted as over HTTP."""

    def __init__(self, runs: JobRuns) -> None:
        self.runs = runs
        self.headers = runs.installation.headers("ann")
        self.client = runs.installation.client

    def submit(self, outcome: str = "success", *, query: str = "", **headers: str) -> str:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"{API}/tasks/probe.wished/jobs?{query}"
        answer = self.client.post(address, json={"outcome": outcome}, headers=sent)
        assert answer.status_code == 202, answer.text
        task_id: str = answer.json["task_id"]
        return task_id

    def ended(self, task_id: str, *, timeout: float = 40) -> dict[str, Any]:
        """Its result as clients see it."""
        self.runs.ended(task_id, timeout=timeout)
        result: dict[str, Any] = self.client.get(f"{API}/results/{task_id}", headers=self.headers).json
        return result

    def started_at(self, task_id: str) -> float:
        return float(self.runs.notes(task_id)[0]["at"])


def seconds_until_end(result: dict[str, Any]) -> float:
    times = [datetime.fromisoformat(result[name]) for name in ("submitted_at", "finished_at")]
    return (times[1] - times[0]).total_seconds()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with job_runs(tmp_path_factory.mktemp("deadlines"), **PATIENT) as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2", "--queues", "default,fast")
        yield Service(runs)


def test_a_job_waits_in_the_queue_that_was_chosen(service: Service) -> None:
    chosen, usual = service.submit(query="queue=fast"), service.submit()

    assert service.ended(chosen)["result"]["queue"] == "fast"
    assert service.ended(usual)["result"]["queue"] == "default"


def test_urgent_jobs_go_first(service: Service) -> None:
    submitted = [(p, service.submit(query=f"queue=slow&priority={p}")) for p in (9, 6, 3, 0, 8, 2)]
    without = service.submit(query="queue=slow")

    worker = start_probe_worker(service.runs, "--pool", "solo", "--queues", "slow")
    for task_id in (*(task_id for _, task_id in submitted), without):
        assert service.ended(task_id)["state"] == "SUCCESS"
    worker.stop()

    started = {task_id: service.started_at(task_id) for _, task_id in submitted}
    order = [p for p, task_id in sorted(submitted, key=lambda job: started[job[1]])]
    assert order == [0, 2, 3, 6, 8, 9]  # of one step (0 and 2, 6 and 8) in the order of their submission
    assert service.started_at(without) < started[dict(submitted)[3]]


@pytest.mark.parametrize(
    ("query", "headers", "why"),
    [
        ("queue=slow&expires=1", {}, "expired"),
        ("queue=slow", {"Cancel_After": "1"}, "it has not ended by its deadline"),
        ("at=2030-01-01T00:00:00Z", {"Cancel_After": "1s"}, "it has not ended by its deadline"),
    ],
)
def test_a_job_that_waits_too_long_is_revoked(
    query: str, headers: dict[str, str], why: str, service: Service
) -> None:
    patient = service.submit(query="delay=900&expires=901", Cancel_After="902")
    task_id = service.submit(query=query, **headers)

    result = service.ended(task_id)

    assert result["state"] == "REVOKED"
    assert result["error"] == {"type": "TaskRevokedError", "message": why}
    assert 1 <= seconds_until_end(result) < 1 + MARGIN
    assert result["started_at"] is None
    assert service.runs.noted(task_id) == 0
    assert service.runs.celery.backend.client.zscore("taskgate-unfinished", task_id) is None
    assert service.runs.state(patient) is JobState.PENDING


def test_a_job_whose_time_was_up_before_it_was_submitted_never_runs(service: Service) -> None:
    result = service.ended(service.submit(query="expires=2026-01-01T00:00:00Z"))

    assert (result["state"], result["error"]["message"]) == ("REVOKED", "expired")
    assert service.runs.noted(result["task_id"]) == 0


def test_what_has_started_in_time_tries_again_when_that_time_is_over(service: Service) -> None:
    result = service.ended(service.submit("retry", query="expires=1.5"))

    assert (result["state"], result["result"]["runs"], result["retries"]) == ("SUCCESS", 2, 1)
    assert seconds_until_end(result) > 1.5


def test_a_job_that_ends_in_time_is_left_alone(service: Service) -> None:
    before = time.time()
    task_id = service.submit(Cancel_After="1h30m", query="expires=3600")

    assert service.ended(task_id)["state"] == "SUCCESS"

    (note,) = service.runs.notes(task_id)
    assert datetime.fromisoformat(note["deadline"]).timestamp() == pytest.approx(before + 5400, abs=MARGIN)
    assert not [
        member
        for member in service.runs.celery.backend.client.zrange("taskgate-deadlines", 0, -1)
        if task_id in member.decode()
    ]


def test_a_running_job_stops_at_its_next_progress(service: Service) -> None:
    result = service.ended(service.submit("listen", Cancel_After="2"))

    assert result["state"] == "REVOKED"
    assert result["error"]["message"] == "it has not ended by its deadline"
    assert 2 <= seconds_until_end(result) < 2 + MARGIN
    assert result["started_at"] is not None


def test_the_process_of_a_job_that_does_not_listen_is_ended(service: Service) -> None:
    result = service.ended(service.submit("hang", Cancel_After="1"), timeout=60)

    assert result["state"] == "REVOKED"
    assert 1 + GRACE <= seconds_until_end(result) < 1 + GRACE + 2 * MARGIN
    assert service.ended(service.submit())["state"] == "SUCCESS"
    assert service.runs.celery.backend.client.zcard("taskgate-terminate") == 0


def test_a_failed_job_is_run_again_and_its_listener_can_follow_it(service: Service) -> None:
    failed = service.ended(service.submit("failure", query="queue=fast"))
    letters = service.client.get(f"{API}/dead-letters", headers=service.headers).json["dead_letters"]
    assert [letter["task_id"] for letter in letters if letter["task_id"] == failed["task_id"]]

    answer = service.client.post(failed["links"]["retry"], headers=service.headers)
    again = service.ended(answer.json["task_id"])

    assert (again["state"], again["retry_of"]) == ("FAILURE", failed["task_id"])
    assert service.runs.record(again["task_id"]).queue == "fast"
    old = service.ended(failed["task_id"])
    assert old == failed | {"retried_as": again["task_id"]}
    body = {"task": "probe.wished", "since": failed["submitted_at"]}
    many = service.client.post(f"{API}/dead-letters/retry", json=body, headers=service.headers).json["outcomes"]
    assert [outcome["task_id"] for outcome in many] == [again["task_id"]]
    assert service.ended(many[0]["retried_as"])["retry_of"] == again["task_id"]


def test_the_deadline_of_a_retry_begins_anew(service: Service) -> None:
    late = service.ended(service.submit("listen", Cancel_After="2"))
    assert late["state"] == "REVOKED"

    answer = service.client.post(late["links"]["retry"], headers=service.headers)

    again = service.ended(answer.json["task_id"])
    assert again["error"] == late["error"]
    assert 2 <= seconds_until_end(again) < 2 + MARGIN


@pytest.fixture
def without_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with job_runs(tmp_path_factory.mktemp("late"), **SHORT_LEASES) as runs:
        yield Service(runs)


def start(service: Service) -> Worker:
    return start_probe_worker(service.runs, "--pool", "solo")


@pytest.mark.long
def test_times_outlive_workers(without_worker: Service) -> None:
    """Late when no worker was up: never run. Started in time by a worker that died: run again, however late."""
    worker = start(without_worker)
    in_time = without_worker.submit("wait", query="expires=10")
    without_worker.runs.notes(in_time)
    worker.process.kill()
    worker.process.wait(10)
    late = [without_worker.submit(query="expires=1"), without_worker.submit(Cancel_After="1")]
    expiry = without_worker.runs.record(in_time).submitted_at
    assert expiry is not None
    wait_until(lambda: (datetime.now(UTC) - expiry).total_seconds() > 10.5, what="the time to be over")

    worker = start(without_worker)

    for task_id in late:
        assert without_worker.ended(task_id)["state"] == "REVOKED"
        assert without_worker.runs.noted(task_id) == 0
    result = without_worker.ended(in_time)
    assert (result["state"], result["result"]["runs"]) == ("SUCCESS", 2)
    worker.stop()
