"""The logs of a real gunicorn and a real worker, written as JSON: who did what, and no secret in any line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.flask_celery import UNAVAILABLE
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs
from tests.installation import API, ApiServer, bearer

IDEMPOTENCY_KEY = "a-name-that-only-its-client-knows"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("structured"), LOG_FORMAT="json") as runs:
        yield runs


@pytest.fixture(scope="module")
def server(runs: JobRuns) -> ApiServer:
    return runs.installation.start_api()


@pytest.fixture(scope="module")
def worker(runs: JobRuns, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    return runs.installation.start_worker(*LOAD_PROBES, "--pool", "prefork", "--concurrency", "1")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def requests(server: ApiServer, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(server.log) if line.get("request_id") == request_id and "route" in line]


def test_a_request_can_be_followed_into_the_worker(runs: JobRuns, server: ApiServer, worker: Worker) -> None:
    headers = {**runs.installation.headers("ann"), "X-Request-ID": "followed-1", "Idempotency-Key": IDEMPOTENCY_KEY}
    headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
    key = headers["Authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=f"{server.url}{API}", timeout=30) as client:
        submitted = client.post("/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers)
        job = submitted.json()
        token, result = job["access_token"], f"/results/{job['task_id']}"
        wait_until(lambda: client.get(result, headers=headers).json()["ready"], timeout=60, what="the job")
        by_header = client.get(result, headers={**bearer(token), "X-Request-ID": "by-header"})
        in_query = client.get(result, params={"access_token": token}, headers={"X-Request-ID": "in-query"})
        unknown = client.get(f"/{key}/{token}", headers={**headers, "X-Request-ID": "unknown"})
        held = client.get(f"{result}?wait=1", headers={**headers, "X-Request-ID": "held"})
    statuses = [answer.status_code for answer in (submitted, by_header, in_query, unknown, held)]
    assert statuses == [202, 200, 200, 404, 200]
    wait_until(lambda: requests(server, "held"), what="the access log")

    followed = requests(server, "followed-1")
    assert (followed[0]["status"], followed[0]["task_id"], followed[0]["principal"]) == (202, job["task_id"], "ann")
    assert followed[0]["bytes"] == len(submitted.content)
    assert (followed[0]["trace_id"], followed[0]["span_id"]) == (TRACE, "00f067aa0ba902b7")
    assert "trace_id" not in requests(server, "in-query")[0]
    assert requests(server, "in-query")[0]["path"] == f"{API}{result}"
    assert requests(server, "unknown")[0]["path"] == f"{API}/tg_[hidden]/tgj_[hidden]"
    for request_id in ("by-header", "in-query", "held", "unknown"):
        assert len(requests(server, request_id)) == 1

    worked = [line for line in lines(worker.log) if line.get("task_id") == job["task_id"]]
    (received,) = [line for line in worked if "received" in line["message"]]  # by the consumer, outside of the job
    assert received["task"] == "maintenance.adds"
    ran = [line for line in worked if line is not received]
    about = {(line["task"], line["request_id"], line["trace_id"]) for line in ran}
    assert about == {("maintenance.adds", "followed-1", TRACE)}
    assert any("succeeded" in line["message"] for line in ran)
    for name, log in (("api", server.log), ("worker", worker.log)):
        for secret in (key, key.split("_", 2)[2], token, token.rpartition(".")[2], IDEMPOTENCY_KEY):
            assert secret not in log, (name, [line for line in log.splitlines() if secret in line])


def test_every_line_of_the_worker_is_json(runs: JobRuns, worker: Worker) -> None:
    """But for the banner, which Celery prints."""
    runs.run("fail")
    wait_until(lambda: "told to fail" in worker.log, what="the line about the failure")  # after it is stored

    logged = worker.log[worker.log.index('{"') :].splitlines()
    assert len(logged) > 3
    parsed = [json.loads(line) for line in logged]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in parsed)
    failed = next(line for line in parsed if "raised unexpected" in line["message"])
    assert "ValueError: told to fail" in failed["exception"] + failed["message"]


@pytest.mark.parametrize(("level", "said"), [("INFO", True), ("ERROR", False)])
def test_the_workers_level_and_file_are_celerys(level: str, said: bool, runs: JobRuns, tmp_path: Path) -> None:
    file = tmp_path / "worker-file.log"
    options = ("--pool", "solo", "--loglevel", level, "--logfile", str(file))
    started = Worker(runs.installation.environment, tmp_path / "printed.log", *options)

    def answers() -> bool:
        try:
            return bool(runs.celery.control.ping(destination=[started.name], timeout=0.3))
        except UNAVAILABLE:  # this side of it gives up soon, which a busy machine can make too soon
            return False

    try:
        wait_until(answers, timeout=60, what="the worker")
    finally:
        started.stop()

    messages = [line["message"] for line in lines(file.read_text())]
    assert any("ready" in message for message in messages) == said
    assert len(messages) == len(file.read_text().splitlines())
    assert lines(started.log) == []


def test_a_large_download_is_logged_with_its_bytes(server: ApiServer) -> None:
    answer = httpx.get(f"{server.url}/docs/swagger-ui-bundle.js", headers={"X-Request-ID": "download"}, timeout=30)
    wait_until(lambda: requests(server, "download"), what="the line")

    assert requests(server, "download")[0]["bytes"] == len(answer.content) > 1_000_000


def test_the_server_names_no_version(server: ApiServer) -> None:
    answer = httpx.get(f"{server.url}/healthz", timeout=30)

    assert not [value for name, value in answer.headers.items() if name == "server" and any(map(str.isdigit, value))]
    assert "x-powered-by" not in answer.headers
