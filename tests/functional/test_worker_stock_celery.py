"""A Celery without any of our code: a client of our worker, and a worker for our jobs."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest

from libs.flask_celery import JobState
from tests.conftest import ROOT, wait_until
from tests.functional.job_runs import JobRuns, job_runs
from tests.installation import API

CLIENT = """
import json, os, sys
from celery import Celery

app = Celery(broker=os.environ["BROKER"], backend=os.environ["RESULTS"])
name, args, kwargs = json.loads(sys.argv[1])
sent = app.send_task(name, args=args, kwargs=kwargs, queue="default")
value = app.AsyncResult(sent.id).get(timeout=20, propagate=False)
result = app.AsyncResult(sent.id)
print(json.dumps([sent.id, result.state, value if result.successful() else [type(value).__name__, str(value)]]))
"""

WORKER = """
import os
from celery import Celery

app = Celery(broker=os.environ["BROKER"], backend=os.environ["RESULTS"])
app.conf.update(task_track_started=True, task_default_queue="default")


@app.task(name="maintenance.adds")
def adds(a, b):
    return {"from": "a stock worker", "sum": a + b}
"""


@pytest.fixture(scope="session")
def stock_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that has Celery and nothing of ours.

    STOCK_CELERY_VENV names a directory to keep it in between runs.
    """
    kept = os.environ.get("STOCK_CELERY_VENV")
    shared = tmp_path_factory.getbasetemp()
    folder = Path(kept) if kept else (shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared) / "stock"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with Path(f"{folder}.lock").open("w") as lock:  # one of pytest-xdist's processes makes it for all
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "celery[redis]"], check=True, cwd=folder)
            (folder / "complete").touch()
    return python


def surroundings(runs: JobRuns) -> dict[str, str]:
    url = runs.installation.redis.url
    return {"PATH": os.environ["PATH"], "BROKER": f"{url}/2", "RESULTS": f"{url}/1"}


def test_the_environment_has_none_of_our_code(stock_python: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u, celery; print(u.find_spec('flask'), u.find_spec('libs'), celery.__version__)"
    done = subprocess.run([str(stock_python), "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout.split() == ["None", "None", celery.__version__]


def send(python: Path, runs: JobRuns, folder: Path, *job: Any) -> list[Any]:
    command = [str(python), "-c", CLIENT, json.dumps(job)]
    done = subprocess.run(
        command, env=surroundings(runs), capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer: list[Any] = json.loads(done.stdout)
    return answer


def test_a_stock_client_reads_our_workers_results(stock_python: Path, runs: JobRuns, tmp_path: Path) -> None:
    by_position, state, value = send(stock_python, runs, tmp_path, "maintenance.adds", [1, 2], {})
    assert (state, value) == ("SUCCESS", 3)
    _, state, value = send(stock_python, runs, tmp_path, "maintenance.adds", [], {"a": 40, "b": 2})
    assert (state, value) == ("SUCCESS", 42)

    record = runs.record(by_position)  # nobody's, but on record: its start was the first word of it
    assert (record.state, record.owner, record.task) == (JobState.SUCCESS, "", "maintenance.adds")


def test_a_stock_client_reads_a_failure_of_invalid_params(stock_python: Path, runs: JobRuns, tmp_path: Path) -> None:
    _, state, (kind, message) = send(stock_python, runs, tmp_path, "maintenance.adds", ["one", 2], {})

    assert (state, kind) == ("FAILURE", "InvalidParamsError")
    assert "Not a valid integer." in message


@pytest.fixture
def stock_worker(stock_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    folder = tmp_path_factory.mktemp("stock-worker")
    (folder / "stock_app.py").write_text(WORKER)
    with job_runs(tmp_path_factory.mktemp("served-by-stock")) as runs:
        command = [str(stock_python), "-m", "celery", "-A", "stock_app", "worker", "-P", "solo", "-l", "INFO"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=surroundings(runs), cwd=folder, stdout=log, stderr=log)
        try:
            wait_until(lambda: " ready." in (folder / "log").read_text(), timeout=60, what="the stock worker")
            yield runs
        finally:
            process.terminate()
            process.wait(20)


def test_a_stock_worker_runs_what_was_submitted_over_http(stock_worker: JobRuns) -> None:
    client, headers = stock_worker.installation.client, stock_worker.installation.headers("ann")
    submitted = client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers)
    address = submitted.headers["Location"]

    wait_until(lambda: client.get(address, headers=headers).json["ready"], what="the result")

    job = client.get(address, headers=headers).json
    assert (job["state"], job["task"]) == ("SUCCESS", "maintenance.adds")
    assert job["result"] == {"from": "a stock worker", "sum": 3}
    other = stock_worker.installation.headers("bob")
    assert client.get(address, headers=other).status_code == 404
    listed = client.get(f"{API}/jobs", headers=headers).json["jobs"]
    assert [job["task_id"] for job in listed] == [submitted.json["task_id"]]
    assert client.delete(address.replace("/results/", "/jobs/"), headers=headers).status_code == 409
