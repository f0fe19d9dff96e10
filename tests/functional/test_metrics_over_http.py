"""``/metrics`` of several processes, and of what a worker has done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from app.api_keys import Scope
from tests.app.test_metrics import Samples, of, samples
from tests.conftest import wait_until
from tests.installation import API, ApiServer, Installation, an_installation
from tests.promtool import promtool

ADDS = "maintenance.adds"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("metrics")) as installation:
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    """Of two processes."""
    installation.environment["GUNICORN_CMD_ARGS"] = "--workers 2"
    return installation.start_api()


def scrape(server: ApiServer, headers: dict[str, str]) -> Samples:
    answer = httpx.get(f"{server.url}/metrics", headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def processes_of(server: ApiServer) -> set[int]:
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def test_all_processes_answer_for_all_and_a_worker_is_counted(installation: Installation, server: ApiServer) -> None:
    installation.start_worker("--pool", "solo")
    operator, ann = installation.headers("prometheus", Scope.METRICS), installation.headers("ann")
    for number in range(20):
        body = {"a": number, "b": 1}
        answer = httpx.post(f"{server.url}{API}/tasks/{ADDS}/jobs", json=body, headers=ann, timeout=20)
        assert answer.status_code == 202
    wait_until(
        lambda: of(scrape(server, operator), "jobs_ended_total", task=ADDS, state="SUCCESS") == 20, what="20 ends"
    )

    route = f"{API}/tasks/<task>/jobs"
    seen = [scrape(server, operator) for _ in range(10)]  # by whichever process takes the connection

    assert {of(found, "http_requests_total", route=route, method="POST", status="202") for found in seen} == {20}
    assert {of(found, "jobs_accepted_total", task=ADDS) for found in seen} == {20}
    assert {of(found, "job_run_seconds_count", task=ADDS) for found in seen} == {20}
    assert of(seen[0], "jobs_unfinished") == 0


def test_prometheus_itself_finds_no_fault(installation: Installation, server: ApiServer) -> None:
    """With jobs and a worker there, as the test before has left them."""
    operator = installation.headers("prometheus", Scope.METRICS)
    page = httpx.get(f"{server.url}/metrics", headers=operator, timeout=20).text
    assert 'taskgate_job_wait_seconds_bucket{le="+Inf",task="maintenance.adds"}' in page
    assert "taskgate_worker_slots{" in page

    assert promtool("check", "metrics", given=page) == ""


def test_who_is_held_is_told_and_what_a_dead_process_has_counted_stays(
    installation: Installation, server: ApiServer
) -> None:
    operator, ann = installation.headers("prometheus", Scope.METRICS), installation.headers("ann")
    task_id = installation.accept("ann")
    address = f"{server.url}{API}/results/{task_id}?wait=30"

    def poll() -> None:
        with suppress(httpx.HTTPError):  # its process is killed
            httpx.get(address, headers=ann, timeout=60)

    crowd = [threading.Thread(target=poll) for _ in range(6)]
    for one in crowd:
        one.start()
    wait_until(lambda: of(scrape(server, operator), "http_held_requests") == 6, what="six held requests")
    before = of(scrape(server, operator), "http_request_seconds_count", route="/metrics") or 0

    killed = processes_of(server)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: len(processes_of(server) - killed) == 2, what="two new processes")
    for one in crowd:
        one.join()
    wait_until(lambda: of(scrape(server, operator), "http_held_requests") == 0, what="nobody being held")

    assert (of(scrape(server, operator), "http_request_seconds_count", route="/metrics") or 0) > before


@pytest.mark.long
def test_processes_that_follow_one_another_take_no_more_memory(installation: Installation, server: ApiServer) -> None:
    operator = installation.headers("prometheus", Scope.METRICS)

    def replace_all() -> set[str]:
        old = processes_of(server)
        for process in old:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: len(processes_of(server) - old) == 2, what="two new processes")
        scrape(server, operator)
        return {file.name for file in counts_of(server).glob("*.db") if not file.name.startswith("gauge")}

    files = {name for _ in range(2) for name in replace_all()}

    assert replace_all() <= files
    assert len(files) <= 2 * 2  # counters and histograms, of two processes


def counts_of(server: ApiServer) -> Path:
    """The folder in which its processes count together."""
    lines = [line for pid in processes_of(server) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    (folder,) = {Path(line.split()[-1]).parent for line in lines if "/taskgate-metrics-" in line}
    assert folder.is_dir()
    return folder


def test_nothing_is_left_in_memory_by_an_api_that_stops_or_is_followed_by_another(
    installation: Installation, server: ApiServer
) -> None:
    killed = installation.start_api()
    left = counts_of(killed)
    killed.kill()
    assert left.is_dir()

    next_one = installation.start_api()
    own = counts_of(next_one)
    assert not left.exists()
    assert counts_of(server).is_dir()  # of one that lives

    next_one.stop()

    assert not own.exists()
