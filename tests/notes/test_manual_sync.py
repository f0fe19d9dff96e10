"""Manual sync: a user starts ``maintenance.refresh_onboard_table`` with one call and asks after it with another, by
user and task alone. A second press while one runs is answered with the job that runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.conftest import Worker, wait_until
from tests.installation import API, PATIENT, Installation, an_installation, assert_problem

TASK = "maintenance.refresh_onboard_table"
PRESS, LATEST = f"{API}/tasks/{TASK}/jobs", f"{API}/results/latest/{TASK}"

PARTS = b"code,name\nA-1,Bolt\nA-2,Nut\n"

#: Takes a second or more.
MANY_PARTS = b"code,name\n" + b"".join(b"M-%d,Bolt of some kind\n" % number for number in range(120_000))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A dead worker's jobs run elsewhere two seconds later."""
    leases = {"visibility_timeout": 2, "unacked_restore_interval": 0.5, "socket_timeout": 20}
    settings = PATIENT | {"CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(leases)}
    with an_installation(tmp_path_factory.mktemp("sync"), **settings) as installation:
        yield installation


@pytest.fixture(scope="module")
def apis(installation: Installation) -> Iterator[list[httpx.Client]]:
    """Two API processes."""
    with (
        httpx.Client(base_url=installation.start_api().url, timeout=20) as one,
        httpx.Client(base_url=installation.start_api().url, timeout=20) as other,
    ):
        yield [one, other]


class User:
    """One principal with a file of parts, at the two API processes."""

    def __init__(self, installation: Installation, apis: list[httpx.Client], name: str) -> None:
        self.installation, self.apis, self.name = installation, apis, name
        self.headers = installation.headers(name)
        self.file_id = installation.upload(name, PARTS)

    def press(self, api: int = 0, *, query: str = "", **params: Any) -> httpx.Response:
        body = {"file_id": self.file_id, **params}
        answer = self.apis[api].post(f"{PRESS}?{query}", json=body, headers=self.headers)
        assert answer.status_code == 202, answer.text
        return answer

    def latest(self, api: int = 1, **headers: str) -> httpx.Response:
        return self.apis[api].get(LATEST, headers=self.headers | headers)

    def wait_for(self, *states: str) -> dict[str, Any]:
        wait_until(
            lambda: self.latest().json()["state"] in states, timeout=60, what=f"{states} of {self.name}'s sync"
        )
        shown: dict[str, Any] = self.latest().json()
        return shown

    def jobs(self) -> list[str]:
        listed = self.apis[0].get(f"{API}/jobs", params={"task": TASK}, headers=self.headers).json()["jobs"]
        return [job["task_id"] for job in listed]


@pytest.fixture
def user(installation: Installation, apis: list[httpx.Client], request: pytest.FixtureRequest) -> User:
    """One for each test."""
    return User(installation, apis, request.function.__name__)


def is_new(answer: httpx.Response) -> bool:
    return "Already-Running" not in answer.headers


def test_two_presses_at_once_at_two_processes_make_one_job(user: User) -> None:
    start = Barrier(8)

    def press_at_once(number: int) -> httpx.Response:
        start.wait(20)
        return user.press(number % 2, query="delay=3600", add_time=f"2026-01-0{number + 1}T00:00:00Z")

    for before in range(4):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(press_at_once, range(8)))

        (task_id,) = {answer.json()["task_id"] for answer in answers}
        assert sum(map(is_new, answers)) == 1
        assert {answer.headers.get("Already-Running") for answer in answers} == {None, "true"}
        assert {answer.headers["Location"] for answer in answers} == {f"{API}/results/{task_id}"}
        assert len(user.jobs()) == before + 1
        # Each answer's token opens the job, whoever's press it was.
        token = {"Authorization": f"Bearer {answers[-1].json()['access_token']}"}
        cancelled = user.apis[1].delete(f"{API}/jobs/{task_id}", headers=token)
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "REVOKED")


def test_a_job_that_was_cancelled_in_its_queue_is_followed_by_a_new_one(user: User) -> None:
    first = user.press()
    assert not is_new(user.press(1))

    assert user.apis[0].delete(f"{API}/jobs/{first.json()['task_id']}", headers=user.headers).status_code == 202

    again = user.press(1)
    assert is_new(again)
    assert again.json()["task_id"] != first.json()["task_id"]
    assert user.latest().json()["task_id"] == again.json()["task_id"]
    user.apis[0].delete(f"{API}/jobs/{again.json()['task_id']}", headers=user.headers)


def test_another_user_gets_their_own(user: User, installation: Installation, apis: list[httpx.Client]) -> None:
    other = User(installation, apis, "somebody else")
    assert_problem(other.latest(), 404)

    mine, theirs = user.press(query="delay=3600"), other.press(query="delay=3600")

    assert is_new(mine)
    assert is_new(theirs)
    shown = [one.latest().json()["task_id"] for one in (user, other)]
    assert shown == [mine.json()["task_id"], theirs.json()["task_id"]]


def test_state_label_and_value_by_user_and_task(user: User, installation: Installation) -> None:
    assert_problem(user.latest(), 404)
    pressed = user.press()
    waiting = user.latest(**{"Accept-Language": "zh"})
    assert (waiting.json()["task_id"], waiting.json()["result"]) == (pressed.json()["task_id"], None)
    assert (waiting.json()["state"], waiting.json()["state_label"]) == ("PENDING", "等待中")
    assert waiting.headers["Content-Location"] == pressed.headers["Location"]

    worker = installation.start_worker("--pool", "solo")
    ended = user.wait_for("SUCCESS")
    assert (ended["state_label"], ended["ready"], ended["result"]["inserted"]) == ("Done", True, 2)

    again = user.press()
    assert is_new(again)
    user.wait_for("SUCCESS")
    assert user.latest().json()["task_id"] == again.json()["task_id"]
    user.file_id = installation.upload(user.name, b"no such columns\n1\n")
    assert is_new(user.press())
    assert user.wait_for("FAILURE")["error"]["message"]
    assert is_new(user.press())
    user.wait_for("FAILURE")
    worker.stop()
    assert len(user.jobs()) == 4


def test_it_is_remembered_for_as_long_as_its_result(user: User, installation: Installation) -> None:
    """However many other jobs its user has started since; and what is remembered has an end."""
    pressed = user.press(query="delay=3600").json()["task_id"]
    others = [{"task": "maintenance.adds", "params": {"a": 1, "b": 1}, "delay": 3600}] * 2_001
    assert user.apis[0].post(f"{API}/batches", json=others, headers=user.headers).json()["accepted"] == 2_001
    assert user.latest().json()["task_id"] == pressed

    user.apis[0].delete(f"{API}/jobs/{pressed}", headers=user.headers)
    assert user.latest().json()["state"] == "REVOKED"
    kept = {key: installation.backend.client.ttl(key) for key in installation.backend.client.keys("*-unique-*")}
    assert max(kept.values()) <= 86_400
    installation.expire(pressed)
    assert_problem(user.latest(), 404)
    assert is_new(user.press(query="delay=3600"))


def test_the_job_of_a_killed_worker_is_the_answer_until_another_one_has_ended_it(
    user: User, installation: Installation
) -> None:
    worker: Worker = installation.start_worker("--pool", "solo")
    user.file_id = installation.upload(user.name, MANY_PARTS)
    first = user.press().json()["task_id"]
    user.wait_for("STARTED", "PROGRESS")
    assert user.press(1).json()["task_id"] == first

    worker.process.kill()
    worker.process.wait(20)

    while_nobody_runs_it = user.press()
    assert (is_new(while_nobody_runs_it), while_nobody_runs_it.json()["task_id"]) == (False, first)
    installation.start_worker("--pool", "solo")
    assert user.wait_for("SUCCESS")["task_id"] == first
    assert installation.backend.client.hget(f"taskgate-job-{first}", "runs") == b"2"
    user.file_id = installation.upload(user.name, PARTS)
    new = user.press(1)
    assert is_new(new)
    assert new.json()["task_id"] != first
    assert user.wait_for("SUCCESS")["task_id"] == new.json()["task_id"]
