"""``celery -A libs.flask_celery:celery_app flower --port=5555``: workers, tasks, results, queues, and a password."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import pytest

from libs.flask_celery import JobState
from libs.local_stack import find_redis_server
from tests.conftest import ROOT, Worker, wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API, an_installation

PASSWORD = ("ann", "a password")

#: Everything that shows or does something; ``/healthcheck`` says OK to all.
GUARDED = [
    "/",
    "/workers",
    "/tasks",
    "/broker",
    "/api/workers",
    "/api/tasks",
    "/api/task/types",
    "/api/queues/length",
]


class Flower:
    """Flower as an operator starts it: the repository is on no path but that it is where the command runs."""

    def __init__(self, environment: dict[str, str], log_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.log_path = log_path
        self.url = f"http://127.0.0.1:{port}"
        command = [str(Path(sys.executable).with_name("celery")), "-A", "libs.flask_celery:celery_app"]
        clean = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "flower", f"--port={port}"], env=clean, cwd=ROOT, stdout=log, stderr=log
            )
        self.client = httpx.Client(base_url=self.url, auth=PASSWORD, timeout=30)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            return self.client.get("/healthcheck").text == "OK"
        except httpx.TransportError:
            return False

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()


@contextmanager
def a_flower(environment: dict[str, str], log_path: Path) -> Iterator[Flower]:
    flower = Flower(environment, log_path)
    try:
        wait_until(flower.answers, timeout=60, what="Flower")
        yield flower
    finally:
        flower.client.close()
        flower.process.terminate()
        flower.process.wait(20)


@dataclass
class Watched:
    """Two jobs run until they are told to go, three wait, and others have ended."""

    jobs: JobRuns
    flower: Flower
    worker: Worker
    ended: dict[str, str]
    running: list[str]
    waiting: list[str]

    def shown(self, task_id: str) -> dict[str, Any]:
        return dict(self.flower.get(f"/api/task/info/{task_id}"))


def submitted(jobs: JobRuns, **params: Any) -> str:
    """By a client, over HTTP."""
    answer = jobs.installation.client.post(
        f"{API}/tasks/probe.tell/jobs", json=params, headers=jobs.installation.headers()
    )
    return str(answer.json["task_id"])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("flower")
    with job_runs(folder, DEPLOYMENT="acme", CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT="0.5") as jobs:
        worker = start_probe_worker(jobs, "-E", "--pool", "threads", "--concurrency", "2")
        secret = {"FLOWER_BASIC_AUTH": ":".join(PASSWORD)}
        with a_flower({**jobs.installation.environment, **secret}, folder / "flower.log") as flower:
            wait_until(lambda: worker.name in flower.get("/api/workers"), timeout=60, what="the worker")
            ended = {outcome: submitted(jobs, outcome=outcome) for outcome in ("success", "failure", "retry")}
            for task_id in ended.values():
                jobs.ended(task_id)
            running = [jobs.publish("wait").id, submitted(jobs, outcome="hang")]
            for task_id in running:
                jobs.wait_for_state(task_id, JobState.STARTED)
            waiting = [jobs.publish("wait", priority=priority).id for priority in (0, 5, 9)]
            seen = {*ended.values(), *running}
            wait_until(lambda: seen <= set(flower.get("/api/tasks")), what="the events")
            over = ("SUCCESS", "FAILURE")  # records say so before the events of it are here
            wait_until(
                lambda: all(flower.get("/api/tasks")[task_id]["state"] in over for task_id in ended.values()),
                what="the events of the ends",
            )
            yield Watched(jobs, flower, worker, ended, running, waiting)


def test_workers_are_shown_with_their_pool_and_their_queues(watched: Watched) -> None:
    [worker] = watched.flower.get("/api/workers", refresh=1).values()
    assert worker["stats"]["pool"]["max-concurrency"] == 2
    assert [queue["name"] for queue in worker["active_queues"]] == ["acme.default"]
    assert "maintenance.adds" in [line.split()[0] for line in worker["registered"]]
    [counted] = watched.flower.get("/workers", json=1)["data"]
    wait_until(lambda: watched.flower.get("/workers", json=1)["data"][0].get("active") == 2, what="its heartbeat")
    assert (counted["hostname"], counted["status"]) == (watched.worker.name, True)
    assert (counted["task-succeeded"], counted["task-failed"], counted["task-retried"]) == (2, 1, 1)


def test_tasks_are_shown_with_their_states(watched: Watched) -> None:
    tasks = watched.flower.get("/api/tasks")

    assert {name: tasks[task_id]["state"] for name, task_id in watched.ended.items()} == {
        "success": "SUCCESS",
        "failure": "FAILURE",
        "retry": "SUCCESS",
    }
    assert [tasks[task_id]["state"] for task_id in watched.running] == ["STARTED", "STARTED"]
    assert {task["worker"] for task in tasks.values()} == {watched.worker.name}
    assert watched.flower.get("/api/tasks", state="FAILURE").keys() == {watched.ended["failure"]}
    assert watched.flower.get("/api/task/types") == {"task-types": ["probe.tell", "probe.wait"]}
    shown = watched.shown(watched.ended["failure"])
    assert (shown["name"], shown["exception"]) == ("probe.tell", "ValueError('told to fail')")
    assert watched.shown(watched.ended["retry"])["retried"] is not None
    assert watched.flower.client.get("/api/task/info/nobody-knows").status_code == 404


def test_clients_arguments_are_not_shown(watched: Watched) -> None:
    """Celery would write those of a retry out, and those of what runs when it is asked without ``safe``."""
    for task_id in [*watched.ended.values(), watched.running[1]]:
        shown = watched.shown(task_id)
        assert (shown["args"], shown["kwargs"]) == ("()", "{…}")
    inspected = watched.jobs.celery.control.inspect([watched.worker.name], timeout=5).active()
    kwargs = {job["id"]: job["kwargs"] for job in inspected[watched.worker.name]}
    assert kwargs == {watched.running[0]: {}, watched.running[1]: "{…}"}


def test_results_are_those_of_our_backend(watched: Watched) -> None:
    def result(task_id: str) -> dict[str, Any]:
        return dict(watched.flower.get(f"/api/task/result/{task_id}"))

    succeeded, failed = result(watched.ended["success"]), result(watched.ended["failure"])
    assert succeeded == {"task-id": watched.ended["success"], "state": "SUCCESS", "result": []}
    assert (failed["state"], failed["result"]) == ("FAILURE", "ValueError('told to fail')")
    assert result(watched.running[0])["state"] == "STARTED"
    assert result(watched.waiting[0]) == {"task-id": watched.waiting[0], "state": "PENDING"}


def test_queues_are_counted_over_all_priorities(watched: Watched) -> None:
    counted = watched.flower.get("/api/queues/length")

    assert counted == {"active_queues": [{"name": "acme.default", "messages": 3}]}


def test_pages(watched: Watched) -> None:
    def page(path: str) -> str:
        return watched.flower.client.get(path).raise_for_status().text

    assert watched.worker.name in page("/")
    assert "tasks-table" in page("/tasks")
    assert "acme.default" in page("/broker")
    assert "probe.tell" in page(f"/task/{watched.ended['success']}")
    assert "acme.default" in page(f"/worker/{watched.worker.name}")


@pytest.mark.parametrize("credentials", [None, ("ann", "another")])
def test_nothing_is_shown_or_done_without_the_password(watched: Watched, credentials: tuple[str, str] | None) -> None:
    with httpx.Client(base_url=watched.flower.url, auth=credentials, timeout=30) as stranger:
        for path in [*GUARDED, f"/task/{watched.running[0]}", f"/api/task/result/{watched.ended['success']}"]:
            assert stranger.get(path).status_code == 401, path
        for path in ["task/async-apply/maintenance.adds", f"task/revoke/{watched.waiting[2]}", "worker/shutdown/w"]:
            assert stranger.post(f"/api/{path}", json={"args": [1, 2]}).status_code == 401, path
    assert watched.jobs.state(watched.waiting[2]) is JobState.PENDING


def test_jobs_can_be_run_and_revoked_there_and_have_their_records(watched: Watched) -> None:
    """Near the end: it lets the waiting jobs run."""
    post = watched.flower.client.post
    assert post(f"/api/task/revoke/{watched.waiting[2]}").status_code == 200
    for task_id in [watched.running[0], *watched.waiting]:
        watched.jobs.say_go(task_id)

    answer = post("/api/task/apply/maintenance.adds", json={"kwargs": {"a": 1, "b": 2}, "timeout": 30}).json()

    assert (answer["state"], answer["result"]) == ("SUCCESS", 3)
    assert watched.jobs.record(answer["task-id"]).owner == ""
    assert watched.jobs.ended(watched.waiting[1]).state is JobState.SUCCESS
    assert watched.jobs.ended(watched.waiting[2]).state is JobState.REVOKED
    assert watched.jobs.noted(watched.waiting[2]) == 0


@pytest.fixture
def redis_socket() -> Iterator[Path]:
    """Of a Redis that has no port, as the embedded one."""
    with TemporaryDirectory(prefix="taskgate-flower-") as folder:
        path = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", ""]
        server = subprocess.Popen([str(find_redis_server()), *options], stdout=subprocess.DEVNULL)
        wait_until(path.exists, what="Redis")
        yield path
        server.kill()
        server.wait(10)


def test_without_a_password_it_is_this_hosts_alone_and_its_api_is_closed(redis_socket: Path, tmp_path: Path) -> None:
    """The command as it stands, on a Redis behind a socket, whose database Flower itself does not find."""
    with an_installation(tmp_path, REDIS_URL=f"redis+socket://{redis_socket}") as installation:
        for priority in (0, 5, 9):
            installation.app.extensions["celery"].send_task("maintenance.adds", (1, 2), priority=priority)
        with a_flower(installation.environment, tmp_path / "flower.log") as flower:
            listening = [
                one.laddr.ip
                for one in psutil.Process(flower.process.pid).net_connections("tcp")
                if one.status == psutil.CONN_LISTEN
            ]
            broker_page = flower.client.get("/broker").text
            assert flower.client.get("/api/tasks").status_code == 401

    assert listening == ["127.0.0.1"]
    row = broker_page.partition("<td>default</td>")[2].partition("</tr>")[0]
    assert ">3</td>" in row
