"""RabbitMQ stopped, frozen, killed, and a queue deleted under the API: what clients are told, and what is kept."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from kombu.exceptions import OperationalError

from libs.flask_celery import JobState
from tests.conftest import ROOT, wait_until
from tests.functional.job_runs import JobRuns, start_probe_worker
from tests.installation import API
from tests.rabbitmq.broker_node import RabbitNode

pytestmark = pytest.mark.long

#: Seconds: what a client waits at most for the 503.
LIMIT = 1.0
CROWD = 8


@pytest.fixture
def node(rabbitmq: RabbitNode) -> Iterator[RabbitNode]:
    """The node, brought back at the end."""
    yield rabbitmq
    rabbitmq.bring_back()


@pytest.fixture(scope="module")
def api(quiet_runs: JobRuns) -> Iterator[httpx.Client]:
    server = quiet_runs.installation.start_api()
    with httpx.Client(base_url=server.url, headers=quiet_runs.installation.headers(), timeout=20) as client:
        yield client


def submit(api: httpx.Client) -> httpx.Response:
    return api.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2})


def accepted(api: httpx.Client) -> httpx.Response:
    """A job that was, at the first attempt or, where the machine has too much else to do, at a later one."""
    answers: list[httpx.Response] = []

    def was_accepted() -> bool:
        answers.append(submit(api))
        return answers[-1].status_code == 202

    wait_until(was_accepted, what="a job that is accepted")
    return answers[-1]


def timed(call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    started = time.perf_counter()
    response = call()
    return time.perf_counter() - started, response


def crowd(api: httpx.Client) -> list[tuple[float, httpx.Response]]:
    with ThreadPoolExecutor(CROWD) as clients:
        return list(clients.map(lambda _: timed(lambda: submit(api)), range(CROWD)))


def stop(node: RabbitNode) -> None:
    node.stop()


def kill(node: RabbitNode) -> None:
    node.stop(kill=True)


def freeze(node: RabbitNode) -> None:
    node.freeze()


@pytest.mark.parametrize("take_away", [stop, kill, freeze])
def test_submissions_answer_503_and_leave_nothing_and_work_again(
    take_away: Callable[[RabbitNode], None], node: RabbitNode, quiet_runs: JobRuns, api: httpx.Client
) -> None:
    """Meanwhile results are read and jobs cancelled as ever: those are in Redis."""
    location = submit(api).headers["Location"]
    assert [response.status_code for _, response in crowd(api)] == [202] * CROWD  # each has a connection now
    jobs = api.get(f"{API}/jobs").json()
    kept = quiet_runs.installation.what_is_kept()

    take_away(node)
    answers = crowd(api) + crowd(api) + [timed(lambda: submit(api)) for _ in range(5)]
    result = api.get(location)
    left_behind = quiet_runs.installation.what_is_kept().keys() - kept.keys()
    jobs_meanwhile = api.get(f"{API}/jobs").json()
    cancelled = api.delete(location.replace("/results/", "/jobs/"))
    node.bring_back()

    print(f"\nRabbitMQ {take_away.__name__}: slowest 503 {max(seconds for seconds, _ in answers):.3f} s")
    assert {response.status_code for _, response in answers} == {503}
    assert max(seconds for seconds, _ in answers) < LIMIT
    assert (result.status_code, result.json()["state"], cancelled.status_code) == (200, "PENDING", 202)
    assert jobs_meanwhile == jobs
    # Where a message may have arrived, the ledger keeps for a while that its job must not run.
    assert take_away is freeze or left_behind == set()
    assert all("taskgate-job-" in key for key in left_behind)
    # Without a restart, on the connections that were there before, and at the first attempt.
    assert [response.status_code for _, response in crowd(api)] == [202] * CROWD


def test_a_queue_that_has_to_be_declared_first_makes_nobody_wait_longer(
    node: RabbitNode, quiet_runs: JobRuns
) -> None:
    """On a connection that is open already, where py-amqp's own limit means nothing to gevent."""
    publisher = subprocess.Popen(
        [sys.executable, "-m", "tests.rabbitmq.patched_publisher"],
        env=quiet_runs.installation.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "connected\n"
        node.freeze()
        raised, seconds = publisher.communicate("go\n", timeout=20)[0].split()
    finally:
        publisher.kill()
        publisher.communicate()

    assert raised == "OperationalError"
    assert float(seconds) < LIMIT


def test_a_job_that_was_not_accepted_does_not_run_when_its_message_arrived(
    node: RabbitNode, quiet_runs: JobRuns
) -> None:
    quiet_runs.publish("answer", 0)  # the connection is there
    before = node.waiting()
    node.freeze()
    with pytest.raises(OperationalError):
        quiet_runs.publish("tell", by="ann", task_id="told-no")
    assert quiet_runs.state("told-no") is None
    node.bring_back()
    wait_until(lambda: node.waiting() == before + 1, what="the message")

    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    assert quiet_runs.run("answer", 1).result == 1
    worker.stop()
    assert quiet_runs.noted("told-no") == 0
    assert quiet_runs.state("told-no") is None

    # Whoever submits it again, under the same id, has it run.
    quiet_runs.publish("tell", by="ann", task_id="told-no")
    assert quiet_runs.state("told-no") is JobState.PENDING
    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    assert quiet_runs.ended("told-no").state is JobState.SUCCESS
    worker.stop()


def test_what_was_accepted_outlives_a_kill_of_rabbitmq(
    node: RabbitNode, quiet_runs: JobRuns, api: httpx.Client
) -> None:
    locations = [accepted(api).headers["Location"] for _ in range(50)]

    node.stop(kill=True)
    node.start()

    worker = start_probe_worker(quiet_runs, "--pool", "threads")
    for location in locations:
        wait_until(lambda location=location: api.get(location).json()["ready"], what="the result")
        assert api.get(location).json()["state"] == "SUCCESS"
    worker.stop()


def test_a_deleted_queue_takes_no_job_with_it(node: RabbitNode, quiet_runs: JobRuns, api: httpx.Client) -> None:
    """RabbitMQ drops a message that no queue takes, and confirms it."""
    accepted(api)
    jobs = api.get(f"{API}/jobs").json()
    node.drop_queue("default")

    refused = submit(api)

    assert refused.status_code == 503
    assert api.get(f"{API}/jobs").json() == jobs
    assert submit(api).status_code == 202  # the queue is declared again
    assert node.waiting() == 1


def test_a_publisher_that_retries_declares_the_queue_again(node: RabbitNode, quiet_runs: JobRuns) -> None:
    """As workers do."""
    quiet_runs.publish("answer", 1, queue="another")
    node.drop_queue("another")

    job = quiet_runs.publish("answer", 2, queue="another", retry=True)

    assert quiet_runs.state(job.id) is JobState.PENDING
    assert node.waiting("another") == 1
    node.drop_queue("another")
