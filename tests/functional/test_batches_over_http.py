"""Batches through a real gunicorn: ten thousand jobs to their `then`, and API processes that are killed half-way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
from redis import Redis

from config import BROKER_DATABASE
from tests.conftest import wait_until
from tests.installation import API, PATIENT, ApiServer, Installation, an_installation

pytestmark = pytest.mark.long

BATCHES = f"{API}/batches"
COUNT = 10_000


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # It is not about a disk that is slow to sync, which the API answers with 503.
    with an_installation(tmp_path_factory.mktemp("batches"), **PATIENT) as installation:
        yield installation


@pytest.fixture(scope="module")
def ann(installation: Installation) -> dict[str, str]:
    return installation.headers("ann")


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


def batch_of(count: int, **more: Any) -> bytes:
    jobs = [{"task": "maintenance.adds", "params": {"a": number, "b": 1}} for number in range(count)]
    return json.dumps({"jobs": jobs, **more}).encode()


def send(server: ApiServer, headers: dict[str, str], body: bytes) -> httpx.Response:
    kind = {"Content-Type": "application/json"}
    return httpx.post(f"{server.url}{BATCHES}", content=body, headers={**headers, **kind}, timeout=120)


def kill(server: ApiServer) -> None:
    """All of gunicorn's processes, at once."""
    processes = [*psutil.Process(server.process.pid).children(recursive=True), psutil.Process(server.process.pid)]
    for process in processes:
        process.kill()
    server.process.wait(10)


def accepted_so_far(installation: Installation, owner: str) -> int:
    keys, client = installation.backend.keys, installation.backend.client
    return sum(
        client.zcard(keys.batch_jobs(batch.decode())) for batch in client.zrange(keys.owner_batches(owner), 0, -1)
    )


def test_a_batch_whose_api_process_was_killed_is_finished_under_its_key(installation: Installation) -> None:
    eve, server = {**installation.headers("eve"), "Idempotency-Key": "mine"}, installation.start_api()
    body = batch_of(COUNT, then={"task": "batches.collect"})
    with ThreadPoolExecutor(1) as executor:
        lost = executor.submit(send, server, eve, body)
        wait_until(lambda: accepted_so_far(installation, "eve") >= 1_000, what="the first jobs")
        kill(server)
        with pytest.raises(httpx.TransportError):
            lost.result(60)
    before = accepted_so_far(installation, "eve")
    assert 1_000 <= before < COUNT
    again = installation.start_api()

    answer = send(again, eve, body)

    assert answer.status_code == 202, answer.text[:2000]
    batch = answer.json()
    ids = [outcome["task_id"] for outcome in batch["outcomes"]]
    assert (batch["accepted"], len(set(ids))) == (COUNT, COUNT)
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        queued = [json.loads(message)["headers"]["id"] for message in reversed(broker.lrange("default", 0, -1))]
    assert queued == ids  # each once, in the order sent
    assert accepted_so_far(installation, "eve") == COUNT
    repeated = send(again, eve, body)
    assert (repeated.headers["Idempotent-Replayed"], repeated.json()) == ("true", batch)
    cancelled = httpx.delete(f"{again.url}{batch['links']['cancel']}", headers=eve, timeout=120)
    assert (cancelled.status_code, cancelled.json()["counts"]["REVOKED"]) == (202, COUNT)
    kill(again)


class Pings:
    """How long others wait meanwhile."""

    def __init__(self, server: ApiServer) -> None:
        self.seconds: list[float] = []
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ping)

    def _ping(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=60) as client:
            while not self._over.wait(0.01):
                started = time.monotonic()
                assert client.get("/healthz").status_code == 200
                self.seconds.append(time.monotonic() - started)

    def __enter__(self) -> Pings:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.timeout(400)
def test_ten_thousand_jobs_to_their_then(installation: Installation, server: ApiServer, ann: dict[str, str]) -> None:
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        broker.delete("default", "default:taskgate-order")
    with Pings(server) as pings:
        started = time.monotonic()
        answer = send(server, ann, batch_of(COUNT, then={"task": "batches.collect"}))
        took = time.monotonic() - started
    print(f"accepted in {took:.2f} s; others waited {max(pings.seconds):.2f} s at the most")
    assert answer.status_code == 202, answer.text[:2000]
    batch = answer.json()
    assert (batch["accepted"], batch["refused"], len(batch["outcomes"])) == (COUNT, 0, COUNT)
    assert len(pings.seconds) > 5
    assert max(pings.seconds) < max(1.0, took / 2)

    worker = installation.start_worker("--pool", "solo")
    with httpx.Client(base_url=server.url, headers=ann, timeout=60) as client:
        now = client.get(answer.headers["Location"], params={"limit": 0})
        deadline = time.monotonic() + 300
        while not now.json()["ready"] or now.json()["then"]["state"] is None:
            assert time.monotonic() < deadline, now.json()
            etag = {"If-None-Match": now.headers["ETag"]}
            held = client.get(answer.headers["Location"], params={"limit": 0, "wait": 20}, headers=etag)
            now = now if held.status_code == 304 else held
        over = now.json()
        assert over["counts"]["SUCCESS"] == COUNT
        then = over["then"]["task_id"]
        assert then == batch["then"]["task_id"]
        result = f"{API}/results/{then}"
        while not (job := client.get(result, params={"wait": 20})).json()["ready"]:
            assert time.monotonic() < deadline, job.json()
        assert job.json()["result"] == {"total": COUNT, "counts": {"SUCCESS": COUNT}}
        lines = client.get(job.json()["files"][0]["url"]).text.splitlines()
        page = client.get(f"{API}/jobs", params={"task": "batches.collect"}).json()["jobs"]
    assert [json.loads(line)["result"] for line in lines] == [number + 1 for number in range(COUNT)]
    assert [json.loads(line)["task_id"] for line in lines] == [outcome["task_id"] for outcome in batch["outcomes"]]
    assert [job["task_id"] for job in page] == [then]
    worker.stop()
    assert worker.log.count("batches.collect") == 0 or worker.log.count(f"[{then}] received") == 1
    assert "Unhandled error" not in server.log
