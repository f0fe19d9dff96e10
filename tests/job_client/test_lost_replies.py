"""Every second reply is lost on its way: each call is answered all the same, and each submission is one job."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.job_client import AsyncJobClient, JobClient, JobState, Options, RetryPolicy, UnreachableError
from tests.functional.lossy_proxy import LossyProxy, lossy_proxy
from tests.job_client.blocking import Blocking
from tests.job_client.conftest import Server

SUBMISSIONS = 40
HASTY = RetryPolicy(patience=60, first=0.02, longest=0.1)


@pytest.fixture
def proxy(server: Server) -> Iterator[LossyProxy]:
    with lossy_proxy(server.port) as proxy:
        yield proxy


def one_request_each(client: Any) -> Any:
    """As the proxy wants it: a connection is one request."""
    client._http.headers["Connection"] = "close"
    return client


@contextmanager
def through(proxy: LossyProxy, server: Server, kind: str, retries: RetryPolicy = HASTY) -> Iterator[Any]:
    if kind == "sync":
        with JobClient(proxy.url, server.key, retries=retries) as client:
            yield one_request_each(client)
    else:
        with Blocking.of(lambda: one_request_each(AsyncJobClient(proxy.url, server.key, retries=retries))) as client:
            yield client


def test_each_submission_is_one_job_and_has_its_result(server: Server, proxy: LossyProxy) -> None:
    since = datetime.now(UTC)

    def one(number: int) -> int:
        return int(client.submit("maintenance.adds", a=number, b=1).result(timeout=60))

    with through(proxy, server, "sync") as client, ThreadPoolExecutor(4) as threads:
        results = list(threads.map(one, range(SUBMISSIONS)))

    assert results == [number + 1 for number in range(SUBMISSIONS)]
    assert proxy.lost >= SUBMISSIONS // 2
    with JobClient(server.url, server.key) as client:
        jobs = list(client.jobs(since=since))
        assert sorted(job.result for job in jobs) == results, "no more jobs than submissions"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_kind_of_call_gets_through(server: Server, proxy: LossyProxy, kind: str, tmp_path: Path) -> None:
    since = datetime.now(UTC)
    with through(proxy, server, kind) as client:
        for _ in range(2):  # so that of each call one is answered at once and one is lost
            batch = client.batch("maintenance.adds", [{"a": n, "b": 1} for n in range(5)])
            assert {ended.job.result for ended in batch.as_completed(timeout=60)} == {1, 2, 3, 4, 5}
            waiting = client.submit("maintenance.adds", Options(delay=3_600), a=1, b=1)
            assert waiting.cancel().state is JobState.REVOKED
            again = waiting.retry()
            assert again.result(timeout=60) == 2
            assert [event.state for event in again.events()] == [JobState.SUCCESS]
            file = client.upload(BytesIO(b"x" * 100_000), name="x.bin")
            assert client.download(file.file_id, tmp_path / "x.bin") == 100_000
            client.remove_file(file.file_id)
            client.tasks()
    with JobClient(server.url, server.key) as client:
        assert len(list(client.jobs(since=since))) == 2 * (5 + 1 + 1)


def test_without_patience_the_loss_is_told_with_the_key_to_go_on_with(server: Server, proxy: LossyProxy) -> None:
    since = datetime.now(UTC)
    with through(proxy, server, "sync", RetryPolicy(patience=0)) as client:
        client.tasks()
        with pytest.raises(UnreachableError) as lost:
            client.submit("maintenance.adds", a=1, b=1)
    assert isinstance(lost.value.__cause__, httpx.TransportError)
    assert lost.value.tries == 1

    with JobClient(server.url, server.key) as client:
        job = client.submit("maintenance.adds", Options(idempotency_key=lost.value.idempotency_key), a=1, b=1)
        assert job.submission is not None
        assert job.submission.replayed
        assert [one.task_id for one in client.jobs(since=since)] == [job.task_id]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_schedules_are_made_run_changed_and_removed_once(kind: str, server: Server, proxy: LossyProxy) -> None:
    with JobClient(server.url, server.key) as plain, through(proxy, server, kind) as client:
        before = {one.schedule_id for one in plain.schedules()}
        lost = proxy.lost
        made = [client.create_schedule("maintenance.adds", {"a": n, "b": 1}, every=86_400) for n in range(4)]
        jobs = [client.run_schedule(one.schedule_id).task_id for one in made]
        for one in made:
            client.change_schedule(one.schedule_id, enabled=False)
        listed = {one.schedule_id: one.enabled for one in plain.schedules() if one.schedule_id not in before}
        for one in made:
            client.remove_schedule(one.schedule_id)

        assert proxy.lost - lost >= 4
        assert listed == {one.schedule_id: False for one in made}
        assert {one.schedule_id for one in plain.schedules()} == before
        ran = [job.task_id for job in plain.jobs(task="maintenance.adds") if job.schedule_id in listed]
        assert sorted(ran) == sorted(jobs)
