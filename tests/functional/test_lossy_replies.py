"""Clients on a bad network: every second reply is lost, and each submission is repeated under its key."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from libs.flask_celery import JobState
from tests.conftest import Worker, wait_until
from tests.functional.lossy_proxy import LossyProxy, lossy_proxy
from tests.installation import API, PATIENT, Installation, an_installation

pytestmark = pytest.mark.long

SUBMISSIONS = 1_000
CLIENTS = 8


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # A reply that is lost could be a 503, about a disk that is slow to sync, of which its client then knows nothing.
    with an_installation(tmp_path_factory.mktemp("lossy"), **PATIENT) as installation:
        yield installation


@dataclass
class Submission:
    """What the client of one key has seen."""

    number: int
    task_id: str = ""
    tries: int = 0
    lost: int = 0
    replayed: bool = False
    refused: Counter[int] = field(default_factory=Counter)


def submit(api: httpx.Client, submission: Submission) -> Submission:
    """The same again and again, until there is an answer."""
    body, headers = {"a": submission.number, "b": 1}, {"Idempotency-Key": f"lossy-{submission.number}"}
    while not submission.task_id:
        submission.tries += 1
        try:
            answer = api.post(f"{API}/tasks/maintenance.adds/jobs", json=body, headers=headers)
        except httpx.RemoteProtocolError:
            submission.lost += 1
            continue
        if answer.status_code == 202:
            submission.task_id = answer.json()["task_id"]
            submission.replayed = answer.headers.get("Idempotent-Replayed") == "true"
        else:
            submission.refused[answer.status_code] += 1
            time.sleep(0.2)
    return submission


def submit_all(proxy: LossyProxy, headers: dict[str, str]) -> list[Submission]:
    with (
        httpx.Client(base_url=proxy.url, headers={**headers, "Connection": "close"}, timeout=30) as api,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        return list(clients.map(lambda number: submit(api, Submission(number)), range(SUBMISSIONS)))


def runs(worker: Worker) -> int:
    return worker.log.count("succeeded in ")


@pytest.mark.timeout(300)
def test_one_job_for_each_key_and_all_of_them_end(installation: Installation) -> None:
    server, headers = installation.start_api(), installation.headers("ann")
    worker = installation.start_worker("--pool", "solo")
    started = time.monotonic()
    with lossy_proxy(server.port) as proxy:
        submissions = submit_all(proxy, headers)

    jobs = {submission.task_id: submission.number for submission in submissions}
    records = installation.backend.records
    owned = {record.task_id for _, record in records.newest("ann")}
    wait_until(lambda: runs(worker) >= SUBMISSIONS, timeout=120, what="the end of all jobs")
    ended = records.get_many(list(jobs))
    print(
        f"\n{SUBMISSIONS} submissions, {sum(one.tries for one in submissions)} tries, {proxy.lost} replies lost, "
        f"{len(owned)} jobs, all done after {time.monotonic() - started:.1f} s"
    )
    assert set(jobs) == owned, "what the clients were told is what there is"
    assert sorted(jobs.values()) == list(range(SUBMISSIONS)), "each key has a job of its own"
    assert [(job.state, job.result) for job in ended] == [(JobState.SUCCESS, n + 1) for n in jobs.values()]
    assert runs(worker) == SUBMISSIONS, "each has run once"
    # And the network was as bad as it is said to be: half of all replies, those of refusals among them.
    assert proxy.lost == proxy.replies // 2 >= SUBMISSIONS - 1
    assert sum(one.lost for one in submissions) == proxy.lost
    first = [one for one in submissions if one.lost and not one.refused]
    assert len(first) > SUBMISSIONS / 4
    assert all(one.replayed for one in first)
