"""Webhooks from submission to a receiver, with a real API and workers that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.webhooks import delivery_id_of
from tests.conftest import Worker, wait_until
from tests.installation import API, ApiServer, Installation, an_installation
from tests.webhooks.receiver import Received, Receiver, a_receiver, status

pytestmark = pytest.mark.long

SETTINGS = {
    "WEBHOOK_ALLOW_HTTP": "1",
    "WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
    "WEBHOOK_RETRIES": "1,1,1",
    "WEBHOOK_TIMEOUT": "2",
    "GUNICORN_CMD_ARGS": "--access-logfile -",
    # A killed worker's messages are back soon, and nobody waits for a disk that is slow to sync.
    "CELERY_BROKER_TRANSPORT_OPTIONS": (
        '{"visibility_timeout": 3, "unacked_restore_interval": 0.5, "socket_timeout": 10}'
    ),
    "CELERY_REDIS_SOCKET_TIMEOUT": "10",
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("webhooks"), **SETTINGS) as installation:
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def at(receiver: Receiver) -> str:
    """A path of this test's own."""
    receiver.answers.clear()
    return f"/{uuid4().hex}"


@pytest.fixture
def api(installation: Installation, server: ApiServer) -> Iterator[httpx.Client]:
    headers = installation.headers("ann")
    with httpx.Client(base_url=f"{server.url}{API}", headers=headers, timeout=30) as client:
        yield client


class Workers:
    """Those of this module, started as the manual says, so without -Q."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._alive: list[Worker] = []

    def start(self, *options: str) -> Worker:
        self._alive.append(self._installation.start_worker(*options))
        return self._alive[-1]

    def one(self) -> Worker:
        return self._alive[-1] if self._alive else self.start("--pool", "prefork", "--concurrency", "2")

    def kill_all(self) -> None:
        """With all their processes, at once."""
        while self._alive:
            process = self._alive.pop().process
            for child in psutil.Process(process.pid).children(recursive=True):
                os.kill(child.pid, signal.SIGKILL)
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def workers(installation: Installation) -> Workers:
    return Workers(installation)


@pytest.fixture
def worker(workers: Workers) -> Worker:
    return workers.one()


def submit(api: httpx.Client, receiver: Receiver, path: str, a: int = 1) -> str:
    query = {"webhook": f"{receiver.url}{path}"}
    answer = api.post("/tasks/maintenance.adds/jobs", json={"a": a, "b": 2}, params=query)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def delivery_of(api: httpx.Client, task_id: str) -> dict[str, Any] | None:
    found = api.get("/webhooks/deliveries", params={"task_id": task_id}).json()["deliveries"]
    return found[0] if found else None


def wait_until_over(api: httpx.Client, task_id: str, status: str) -> dict[str, Any]:
    def is_over() -> bool:
        delivery = delivery_of(api, task_id)
        return delivery is not None and delivery["status"] == status

    wait_until(is_over, timeout=60, what=f"the delivery of {task_id} to be {status}")
    delivery = delivery_of(api, task_id)
    assert delivery is not None
    return delivery


def secret_of(api: httpx.Client) -> str:
    secret: str = api.get("/webhooks/secret").json()["secret"]
    return secret


def verified(received: Received, secret: str) -> dict[str, Any]:
    said: dict[str, Any] = Webhook(secret).verify(received.body, received.headers)
    return said


def test_a_jobs_end_is_told_and_verified(
    api: httpx.Client, worker: Worker, receiver: Receiver, at: str, server: ApiServer
) -> None:
    path = f"{at}?token=geheim"

    task_id = submit(api, receiver, path)

    (received,) = receiver.wait_for(path)
    said = verified(received, secret_of(api))
    assert said["type"] == "job.succeeded"
    assert said["data"] == {**api.get(f"/results/{task_id}").json(), "omitted": []}
    assert said["data"]["result"] == 3
    assert received.headers["webhook-id"] == delivery_id_of(task_id)
    delivery = wait_until_over(api, task_id, "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    # It is nobody's job, and the address is in no log.
    assert [job["task"] for job in api.get("/jobs").json()["jobs"] if "webhook" in job["task_id"]] == []
    wait_until(lambda: "webhook=[hidden]" in server.log, what="the access log")
    for log in (worker.log, server.log):
        assert "geheim" not in log
        assert at not in log


def test_a_receiver_that_fails_three_times_and_then_takes_it(
    api: httpx.Client, worker: Worker, receiver: Receiver, at: str
) -> None:
    receiver.answers = [status(500), status(404), status(302, Location="http://169.254.169.254/latest/meta-data")]

    task_id = submit(api, receiver, at)

    received = receiver.wait_for(at, 4)
    assert len({one.headers["webhook-id"] for one in received}) == 1
    assert {verified(one, secret_of(api))["data"]["task_id"] for one in received} == {task_id}
    delivery = wait_until_over(api, task_id, "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 404, 302, 204]


def test_a_receiver_that_never_takes_it(api: httpx.Client, worker: Worker, receiver: Receiver, at: str) -> None:
    receiver.answers = [status(500)] * 4

    task_id = submit(api, receiver, at)

    delivery = wait_until_over(api, task_id, "failed")
    assert len(delivery["attempts"]) == 4
    assert len(receiver.sent_to(at)) == 4
    # An operator has no dead letter of it, and its owner can have it sent anew.
    receiver.answers = [status(200)]
    assert api.post(f"/webhooks/deliveries/{delivery['id']}/redeliver").status_code == 202
    assert len(wait_until_over(api, task_id, "delivered")["attempts"]) == 5
    assert len({one.headers["webhook-id"] for one in receiver.sent_to(at)}) == 1


def test_a_receiver_that_wants_no_more(api: httpx.Client, worker: Worker, receiver: Receiver, at: str) -> None:
    receiver.answers = [status(410)]

    delivery = wait_until_over(api, submit(api, receiver, at), "gone")

    assert [attempt["status"] for attempt in delivery["attempts"]] == [410]


def test_a_receiver_that_hangs_holds_nobody_up(
    api: httpx.Client, worker: Worker, receiver: Receiver, at: str
) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        while not receiver.closing.wait(0.2):
            handler.wfile.write(b"x")

    receiver.answers = [drip, drip]
    first = submit(api, receiver, at)
    receiver.wait_for(at)

    second = submit(api, receiver, f"{at}/other")
    wait_until(lambda: api.get(f"/results/{second}").json()["ready"], timeout=60, what="a job meanwhile")

    delivery = wait_until_over(api, first, "delivered")
    assert "timeout" in [attempt["error"] for attempt in delivery["attempts"]]
    assert all(attempt["duration"] < 10_000 for attempt in delivery["attempts"])
    wait_until_over(api, second, "delivered")


def test_a_test_says_what_came_of_it(api: httpx.Client, worker: Worker, receiver: Receiver, at: str) -> None:
    receiver.answers = [status(418)]

    answer = api.post("/webhooks/test", json={"url": f"{receiver.url}{at}"})

    (received,) = receiver.wait_for(at)
    assert verified(received, secret_of(api))["type"] == "webhook.test"
    address = answer.headers["Location"].removeprefix(API)
    wait_until(lambda: api.get(address).json()["status"] == "failed", what="the outcome")
    assert [attempt["status"] for attempt in api.get(address).json()["attempts"]] == [418]


def test_a_cancelled_job_is_told_of_too(api: httpx.Client, worker: Worker, receiver: Receiver, at: str) -> None:
    query = {"webhook": f"{receiver.url}{at}", "delay": "3600"}
    task_id = api.post("/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, params=query).json()["task_id"]

    assert api.delete(f"/jobs/{task_id}").status_code == 202

    (received,) = receiver.wait_for(at)
    said = verified(received, secret_of(api))
    assert (said["type"], said["data"]["task_id"], said["data"]["state"]) == ("job.cancelled", task_id, "REVOKED")


def test_after_a_rotation_both_secrets_verify(
    installation: Installation, server: ApiServer, worker: Worker, receiver: Receiver, at: str
) -> None:
    headers = installation.headers("rita")
    with httpx.Client(base_url=f"{server.url}{API}", headers=headers, timeout=30) as api:
        old = secret_of(api)
        new = api.post("/webhooks/secret/rotate").json()["secret"]

        task_id = submit(api, receiver, at)

        (received,) = receiver.wait_for(at)
        for secret in (old, new):
            assert verified(received, secret)["data"]["task_id"] == task_id
        with pytest.raises(WebhookVerificationError):
            verified(received, api.post("/webhooks/secret/rotate").json()["secret"])


def test_a_worker_that_is_killed_after_the_jobs_end_and_before_the_delivery(
    installation: Installation, api: httpx.Client, workers: Workers, receiver: Receiver, at: str
) -> None:
    """The job ends by the very script that a worker runs, and nobody is there who could do what follows."""
    workers.kill_all()
    task_id = submit(api, receiver, at)
    installation.backend.store_result(task_id, 3, "SUCCESS")
    assert delivery_of(api, task_id) is None

    workers.start("--pool", "solo")

    (received,) = receiver.wait_for(at)
    assert verified(received, secret_of(api))["data"]["task_id"] == task_id
    wait_until_over(api, task_id, "delivered")


def test_workers_that_are_killed_again_and_again(
    api: httpx.Client, workers: Workers, receiver: Receiver, at: str
) -> None:
    """Each job's end is told, at whatever moment the worker died; a double has the same webhook-id."""
    submitted: list[str] = []
    for turn in range(2):
        workers.kill_all()
        submitted += [submit(api, receiver, f"{at}/{len(submitted) + number}") for number in range(12)]
        before = len(receiver.received)
        workers.start("--pool", "threads", "--concurrency", "4")
        wait_until(lambda before=before: len(receiver.received) >= before + 4, timeout=60, what=f"turn {turn}")  # type: ignore[misc]
    workers.kill_all()
    workers.start("--pool", "threads", "--concurrency", "4")

    for number, task_id in enumerate(submitted):
        received = receiver.wait_for(f"{at}/{number}")
        assert {verified(one, secret_of(api))["data"]["task_id"] for one in received} == {task_id}
        assert {one.headers["webhook-id"] for one in received} == {delivery_id_of(task_id)}
        wait_until_over(api, task_id, "delivered")


def test_a_worker_with_another_secret_key_says_so(
    installation: Installation, api: httpx.Client, workers: Workers, receiver: Receiver, at: str, tmp_path: Path
) -> None:
    workers.kill_all()
    environment = {**installation.environment, "SECRET_KEY": "another " * 5}
    stranger = Worker(environment, tmp_path / "stranger.log", "--pool", "solo")
    try:
        stranger.wait_ready()
        task_id = submit(api, receiver, at)

        delivery = wait_until_over(api, task_id, "failed")

        assert {attempt["error"] for attempt in delivery["attempts"]} == {"signing"}
        assert "was made under a SECRET_KEY that this process does not have" in stranger.log
        assert receiver.sent_to(at) == []
    finally:
        stranger.stop()
