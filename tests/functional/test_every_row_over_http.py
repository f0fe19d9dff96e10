"""Every row of the HTTP contract, and every error it has, over real HTTP: gunicorn, Redis, a worker and beat."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api_1_0 import ROUTES
from app.api_keys import Scope
from tests.conftest import wait_until
from tests.installation import API, Installation, an_installation, assert_problem

ADDS = "/tasks/maintenance.adds/jobs"
NOBODYS = "5f0c2a9e-6f3c-4b0e-9a58-0d7c1d3f4e21"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {
        "WEBHOOK_QUEUE": "unsent",
        "UPLOAD_TYPES": "text/csv",
        "OWNER_LIMIT": "50",
        "SCHEDULE_LIMIT": "3",
        "MAX_BODY": "20000",
        # A disk that is slow to sync is another test's business.
        "CELERY_REDIS_SOCKET_TIMEOUT": "10",
        "CELERY_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 10}',
    }
    with an_installation(tmp_path_factory.mktemp("rows"), **settings) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


class Caller:
    """A client that notes which rows it has called."""

    def __init__(self, url: str, headers: dict[str, str], called: set[str]) -> None:
        self._client = httpx.Client(base_url=f"{url}{API}", headers=headers, timeout=60)
        self._called = called

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self._client.request(method, path, **options)
        if response.is_success or response.status_code == 304:
            self._called.add(f"{method} {row_of(path.partition('?')[0])}")
        return response

    def result(self, task_id: str) -> Any:
        """Once it is final."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            job = self("GET", f"/results/{task_id}?wait=10").json()
            if job["ready"]:
                return job
        return pytest.fail("the job did not end")

    def close(self) -> None:
        self._client.close()


def row_of(path: str) -> str:
    """The route that a path is of; one without a variable part comes before one with."""
    for rule, _ in sorted(ROUTES, key=lambda route: "<" in route[0]):
        if re.fullmatch(re.sub(r"<\w+>", "[^/]+", rule), path):
            return rule
    return path


@pytest.fixture(scope="module")
def called() -> set[str]:
    return set()


@pytest.fixture(scope="module")
def server_url(installation: Installation) -> str:
    return installation.start_api().url


@pytest.fixture(scope="module")
def ann(installation: Installation, server_url: str, called: set[str]) -> Iterator[Caller]:
    caller = Caller(server_url, installation.headers("ann"), called)
    yield caller
    caller.close()


@pytest.fixture(scope="module")
def operator(installation: Installation, server_url: str, called: set[str]) -> Iterator[Caller]:
    caller = Caller(server_url, installation.headers("prometheus", Scope.METRICS), called)
    yield caller
    caller.close()


@pytest.fixture(scope="module")
def bob(installation: Installation, server_url: str) -> Iterator[Caller]:
    caller = Caller(server_url, installation.headers("bob", Scope.READ), set())
    yield caller
    caller.close()


def tasks_and_a_job_from_submission_to_its_events(ann: Caller) -> None:
    assert "maintenance.adds" in [task["name"] for task in ann("GET", "/tasks").json()["tasks"]]
    assert ann("GET", "/tasks/maintenance.adds").json()["params"]["required"] == ["a", "b"]
    submitted = ann("POST", ADDS, json={"a": 1, "b": 2}, headers={"Idempotency-Key": "row"})
    assert (submitted.status_code, submitted.json()["state"]) == (202, "PENDING")
    again = ann("POST", ADDS, json={"a": 1, "b": 2}, headers={"Idempotency-Key": "row"})
    assert again.json()["task_id"] == submitted.json()["task_id"]
    waited = ann("POST", ADDS, json={"a": 2, "b": 2}, headers={"Prefer": "wait=20", "Accept-Language": "zh-CN"})
    assert (waited.status_code, waited.json()["result"], waited.json()["state_label"]) == (200, 4, "已完成")

    task_id = submitted.json()["task_id"]
    assert ann.result(task_id)["result"] == 3
    first = ann("GET", f"/results/{task_id}?tz=Asia/Shanghai")
    assert first.json()["finished_at"].endswith("+08:00")
    etag = {"If-None-Match": first.headers["ETag"]}
    assert ann("GET", f"/results/{task_id}?tz=Asia/Shanghai", headers=etag).status_code == 304
    many = ann("GET", f"/results?task_id={task_id}&task_id={NOBODYS}").json()["results"]
    assert [one.get("result", one.get("status")) for one in many] == [3, 404]
    assert ann("GET", "/results/latest/maintenance.adds").json()["result"] == 4
    assert len(ann("GET", "/jobs?state=SUCCESS").json()["jobs"]) == 2
    assert "event: state" in ann("GET", f"/results/{task_id}/events").text
    assert ann("GET", f"/jobs/{task_id}/logs").json()["lines"] == []


def cancel_retry_and_dead_letters(ann: Caller) -> None:
    later = [ann("POST", f"{ADDS}?delay=3600", json={"a": 1, "b": 1}).json()["task_id"] for _ in range(2)]
    assert ann("DELETE", f"/jobs/{later[0]}").json()["state"] == "REVOKED"
    assert ann("POST", f"/jobs/{later[1]}/cancel").json()["state"] == "REVOKED"
    again = ann("POST", f"/jobs/{later[0]}/retry").json()["task_id"]
    assert ann.result(again)["retry_of"] == later[0]

    broken = ann("POST", "/files?name=no.csv", content=b"no such columns\n1\n").json()["file_id"]
    for _ in range(2):
        job = ann("POST", "/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": broken}).json()
        assert ann.result(job["task_id"])["state"] == "FAILURE"
    newest, older = ann("GET", "/dead-letters").json()["dead_letters"]
    [retried] = ann("POST", "/dead-letters/retry", json={"task_ids": [older["task_id"]]}).json()["outcomes"]
    assert ann.result(retried["retried_as"])["state"] == "FAILURE"
    [dropped] = ann("POST", "/dead-letters/drop", json={"task_ids": [newest["task_id"]]}).json()["outcomes"]
    assert dropped["dropped"] is True


def files(ann: Caller) -> None:
    table = b"code,name,add_time\nA-1,bolt,2026-11-02\n,no code,2026-11-02\n"
    upload = ann("POST", "/files", files={"file": ("parts.csv", table, "text/csv")})
    file_id = upload.json()["file_id"]
    assert (upload.status_code, ann("GET", f"/files/{file_id}").json()["size"]) == (201, len(table))
    assert file_id in [file["file_id"] for file in ann("GET", "/files").json()["files"]]
    part = ann("GET", f"/files/{file_id}/content", headers={"Range": "bytes=5-8"})
    assert (part.status_code, part.content) == (206, table[5:9])
    job = ann("POST", "/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": file_id}).json()
    [left] = ann.result(job["task_id"])["files"]
    rejected = ann("GET", left["url"].removeprefix(API))
    assert b"no code" in rejected.content
    assert rejected.headers["Content-Disposition"].startswith("attachment")
    assert ann("DELETE", f"/files/{file_id}").status_code == 204


def batches(ann: Caller) -> None:
    job = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}
    lines = "\n".join(map(json.dumps, ({"then": {"task": "batches.collect"}}, job, {"task": 1})))
    batch = ann("POST", "/batches", content=lines, headers={"Content-Type": "application/x-ndjson"})
    path = f"/batches/{batch.json()['batch_id']}"
    assert [outcome["status"] for outcome in batch.json()["outcomes"]] == [202, 422]
    wait_until(lambda: ann("GET", f"{path}?wait=10").json()["ready"], timeout=60, what="the batch")
    over = ann("GET", path).json()
    assert (over["counts"]["SUCCESS"], [job["result"] for job in over["jobs"]]) == (1, [3])
    assert ann.result(over["then"]["task_id"])["successful"] is True
    assert len(ann("GET", "/batches").json()["batches"]) == 1
    for method, end in (("DELETE", ""), ("POST", "/cancel")):
        later = {"jobs": [{**job, "delay": 3600}] * 3}
        path = f"/batches/{ann('POST', '/batches', json=later).json()['batch_id']}"
        assert ann(method, path + end).json()["counts"]["REVOKED"] == 3


def webhooks(ann: Caller) -> None:
    first = ann("GET", "/webhooks/secret").json()["secret"]
    assert ann("POST", "/webhooks/secret/rotate").json()["secret"] != first
    told = ann("POST", "/webhooks/test", json={"url": "https://example.com/hook"})
    assert told.status_code == 202
    path = f"/webhooks/deliveries/{told.json()['id']}"
    assert ann("GET", path).json()["status"] == "pending"
    assert len(ann("GET", "/webhooks/deliveries").json()["deliveries"]) == 1
    # It waits in a queue of its own that nobody serves; what is still under way is not sent again.
    assert_problem(ann("POST", f"{path}/redeliver"), 409)


def schedules(ann: Caller) -> None:
    wanted = {
        "task": "maintenance.adds",
        "params": {"a": 1, "b": 2},
        "cron": "0 10 * * *",
        "timezone": "Asia/Shanghai",
    }
    made = ann("POST", "/schedules", json=wanted)
    assert (made.status_code, len(made.json()["next_runs"])) == (201, 5)
    path = f"/schedules/{made.json()['id']}"
    assert ann("PATCH", path, json={"enabled": False}).json()["enabled"] is False
    assert ann("GET", path).json()["enabled"] is False
    assert ann.result(ann("POST", f"{path}/run").json()["task_id"])["schedule_id"] == made.json()["id"]
    assert path.rpartition("/")[2] in [one["id"] for one in ann("GET", "/schedules").json()["schedules"]]
    assert ann("DELETE", path).status_code == 204


def queues_and_workers(operator: Caller) -> None:
    queues = operator("GET", "/queues").json()
    assert "default" in [queue["name"] for queue in queues["queues"]]
    assert queues["accepted"] >= queues["ended"]["SUCCESS"] > 0
    (worker,) = operator("GET", "/workers").json()["workers"]
    assert (worker["pool"], worker["concurrency"]) == ("solo", 1)
    assert "default" in worker["queues"]
    assert worker["last_sign"] is not None
    (worker,) = operator("GET", "/workers?ask=true").json()["workers"]
    assert worker["pool"] == "solo"
    wait_until(
        lambda: operator("GET", "/workers").json()["workers"][0]["taken"] > 0, timeout=60, what="its next sign"
    )


def every_error(ann: Caller, bob: Caller, server_url: str, installation: Installation) -> None:
    task_id = ann("POST", f"{ADDS}?delay=3600", json={"a": 1, "b": 2}).json()["task_id"]
    ended = ann("GET", "/jobs?state=SUCCESS&limit=1").json()["jobs"][0]["task_id"]
    with httpx.Client(base_url=f"{server_url}{API}", timeout=60) as nobody:
        assert_problem(nobody.get("/jobs"), 401)
        assert_problem(nobody.get("/jobs", headers={"Authorization": "Bearer tg_x"}), 401)
    assert_problem(ann("POST", ADDS, content=b"{", headers={"Content-Type": "application/json"}), 400)
    assert_problem(bob("POST", ADDS, json={"a": 1, "b": 2}), 403)
    assert_problem(bob("GET", f"/results/{task_id}"), 404)
    assert_problem(ann("GET", f"/results/{NOBODYS}"), 404)
    assert_problem(ann("GET", "/nothing"), 404)
    assert_problem(ann("PUT", "/jobs"), 405)
    assert_problem(ann("DELETE", f"/jobs/{ended}"), 409)
    assert_problem(ann("POST", f"/jobs/{task_id}/retry"), 409)
    assert_problem(ann("POST", ADDS, json={"a": 1, "b": 2, "c": "x" * 30_000}), 413)
    assert_problem(ann("POST", ADDS, content=b"a=1"), 415)
    assert_problem(ann("POST", "/files?name=a.png", content=b"\x89PNG\r\n\x1a\n"), 415)
    assert_problem(ann("POST", ADDS, json={"a": "x", "b": 2}), 422, "a")
    assert_problem(ann("GET", f"/results/{task_id}?tz=Mars/Olympus"), 422, "tz")
    assert_problem(ann("POST", f"{ADDS}?webhook=https://10.0.0.1/", json={"a": 1, "b": 2}), 422, "webhook")
    key = {"Idempotency-Key": "row"}
    assert_problem(ann("POST", ADDS, json={"a": 1, "b": 3}, headers=key), 422)
    upload = ann("POST", "/files?name=a.csv", content=b"code\n").json()["file_id"]
    assert_problem(ann("GET", f"/files/{upload}/content", headers={"Range": "bytes=99-"}), 416)
    schedule = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}, "every": 3600}
    made = [ann("POST", "/schedules", json=schedule) for _ in range(4)]
    assert [one.status_code for one in made[:3]] == [201, 201, 201]
    assert_problem(made[3], 409)
    changed = ann("PATCH", f"/schedules/{made[0].json()['id']}", json={"enabled": False}, headers={"If-Match": '"x"'})
    assert_problem(changed, 412)
    installation.expire(ended)
    assert_problem(ann("GET", f"/results/{ended}"), 410)
    for _ in range(60):
        full = ann("POST", f"{ADDS}?delay=3600", json={"a": 1, "b": 2})
        if full.status_code != 202:
            break
    assert_problem(full, 429)
    assert int(full.headers["Retry-After"]) > 0


def pages_beside_the_contract(server_url: str) -> None:
    with httpx.Client(base_url=server_url, timeout=60) as client:
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert client.get(f"{API}/openapi.json").json()["openapi"].startswith("3.1")
        assert client.get("/docs/").status_code == 200


def without_redis_there_is_a_503_that_says_when_to_come_again(ann: Caller, installation: Installation) -> None:
    """Last but one: nothing answers after it. How soon is in ``test_redis_away``."""
    installation.redis.stop()

    for method, path, body in (("POST", ADDS, {"a": 1, "b": 2}), ("GET", f"/results/{NOBODYS}", None)):
        answer = ann(method, path, json=body)
        assert_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0


def every_row_has_been_called(called: set[str]) -> None:
    rows = {f"{method} {path}" for path, resource in ROUTES for method in resource.methods or ()}

    assert rows - called == {"POST /webhooks/deliveries/<delivery_id>/redeliver"}


def test_every_row_and_every_error(
    ann: Caller, bob: Caller, operator: Caller, server_url: str, installation: Installation, called: set[str]
) -> None:
    """One after the other: the last step counts what those before it have called."""
    tasks_and_a_job_from_submission_to_its_events(ann)
    cancel_retry_and_dead_letters(ann)
    files(ann)
    batches(ann)
    webhooks(ann)
    schedules(ann)
    queues_and_workers(operator)
    every_error(ann, bob, server_url, installation)
    pages_beside_the_contract(server_url)
    without_redis_there_is_a_503_that_says_when_to_come_again(ann, installation)
    every_row_has_been_called(called)
