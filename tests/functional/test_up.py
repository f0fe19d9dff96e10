"""``manage.py up``: everything on one machine, from an empty data directory."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from tests.conftest import ROOT, wait_until

Run = Callable[..., "Up"]


class Up:
    """A running ``manage.py up`` and what it has said so far."""

    def __init__(self, environment: dict[str, str], *options: str) -> None:
        self.log = Path(environment["DATA_DIR"]).parent / f"up{id(self)}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "up", *options],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.base_url = f"http://127.0.0.1:{environment['PORT']}"

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_up(self) -> "Up":
        wait_until(lambda: "Taskgate is up" in self.said or self.process.poll() is not None, timeout=120)
        assert self.process.poll() is None, self.said
        return self

    def wait_for_end(self) -> int:
        return self.process.wait(90)


@pytest.fixture
def fresh() -> Iterator[dict[str, str]]:
    """The environment of an empty installation on a free port, without a Redis."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="taskgate-up-") as folder:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("REDIS_URL", "DATABASE_URL") and not name.startswith("CELERY_")
        }
        yield environment | {"DATA_DIR": f"{folder}/var", "PORT": str(port)}


@pytest.fixture
def up(fresh: dict[str, str]) -> Iterator[Run]:
    started: list[Up] = []

    def run(*options: str, **changes: str) -> Up:
        started.append(Up(fresh | changes, *options))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
            one.process.wait(90)


def test_a_first_run_shows_the_sample_jobs_result_and_stops_cleanly(up: Run, fresh: dict[str, str]) -> None:
    running = up().wait_until_up()

    assert re.search(r"1503 read, 1500 inserted, 0 updated, 0\s+unchanged, 3\s+rejected", running.said)
    assert re.search(r"\d+ pairs among 1500 parts", running.said)
    key_file = Path(fresh["DATA_DIR"]) / "dev.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = key_file.read_text().strip()
    assert key in running.said
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{running.base_url}/api/1.0/tasks", headers=headers).status_code == 200
    assert f"Console    {running.base_url}/\n" in running.said
    assert "<title>Taskgate</title>" in httpx.get(f"{running.base_url}/").text
    assert httpx.get(f"{running.base_url}/readyz").json()["checks"] == {"redis": True, "database": True}
    beat_log = Path(fresh["DATA_DIR"]) / "logs" / "beat.log"
    wait_until(lambda: "This beat leads" in beat_log.read_text(), timeout=60, what="beat, over the Redis's socket")
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert len(children) >= 4

    running.process.send_signal(signal.SIGINT)

    assert running.wait_for_end() == 0
    assert running.said.rstrip().endswith("Stopped.")
    assert "Traceback" not in running.said
    assert psutil.wait_procs(children, timeout=10)[1] == []
    for log in (Path(fresh["DATA_DIR"]) / "logs").iterdir():
        assert key not in log.read_text(errors="replace")


@pytest.mark.long
def test_jobs_and_results_outlive_a_kill_of_everything(up: Run, fresh: dict[str, str]) -> None:
    first = up("--no-sample").wait_until_up()
    headers = {"Authorization": f"Bearer {(Path(fresh['DATA_DIR']) / 'dev.key').read_text().strip()}"}
    with httpx.Client(base_url=first.base_url, headers=headers) as client:
        address = client.post("/api/1.0/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}).headers["Location"]
        wait_until(lambda: client.get(address).json()["ready"])
    processes = psutil.Process(first.process.pid).children(recursive=True)
    for process in [psutil.Process(first.process.pid), *processes]:
        process.kill()
    first.process.wait(10)
    psutil.wait_procs(processes, timeout=10)

    second = up("--no-sample").wait_until_up()

    assert httpx.get(f"{second.base_url}{address}", headers=headers).json()["result"] == 3


@pytest.mark.long
def test_a_second_up_on_the_same_data_is_one_clear_line(up: Run) -> None:
    first = up("--no-sample").wait_until_up()

    second = up("--no-sample")

    assert second.wait_for_end() == 1
    assert len(second.said.strip().splitlines()) == 1
    assert f"in use by process {first.process.pid}" in second.said


def test_a_taken_port_is_one_clear_line(up: Run, fresh: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(fresh["PORT"]))):
        refused = up()
        assert refused.wait_for_end() == 1
    assert len(refused.said.strip().splitlines()) == 1
    assert "PORT=" in refused.said


def test_a_missing_redis_is_one_clear_line_without_its_password(up: Run) -> None:
    refused = up(REDIS_URL="redis://:hidden-password@127.0.0.1:1")

    assert refused.wait_for_end() == 1
    assert len(refused.said.strip().splitlines()) == 1
    assert "REDIS_URL" in refused.said
    assert "hidden-password" not in refused.said


@pytest.mark.long
def test_flower_is_behind_a_password_that_is_kept_and_on_no_command_line(up: Run, fresh: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    running = up("--flower", FLOWER_PORT=port).wait_until_up()

    url, key_file = f"http://127.0.0.1:{port}", Path(fresh["DATA_DIR"]) / "flower.key"
    assert f"Flower     {url}   (user taskgate, password in {key_file}; or FLOWER_BASIC_AUTH)" in running.said
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    password = key_file.read_text().strip()
    processes = psutil.Process(running.process.pid).children(recursive=True)
    assert not [process for process in processes if password in " ".join(process.cmdline())]
    assert password not in running.said
    assert httpx.get(f"{url}/api/workers").status_code == httpx.get(f"{url}/").status_code == 401
    with httpx.Client(base_url=url, auth=("taskgate", password), timeout=30) as client:
        # The sample job was there before anybody could have told the worker to send events.
        tasks = client.get("/api/tasks").json().values()
        assert "maintenance.match_self_table" in {task["name"] for task in tasks if task["state"] == "SUCCESS"}
        assert client.get("/api/queues/length").json()["active_queues"][0]["messages"] == 0
        # It is to look at.
        assert client.post("/api/task/async-apply/maintenance.adds", json={"args": [1, 2]}).status_code == 403
    [flower] = [process for process in processes if process.cmdline()[-1] == "flower"]
    assert {one.laddr.ip for one in flower.net_connections("tcp") if one.status == psutil.CONN_LISTEN} == {
        "127.0.0.1"
    }

    flower.kill()

    wait_until(lambda: "flower ready again" in running.said, timeout=60, what="another Flower")
    assert httpx.get(f"{url}/api/workers", auth=("taskgate", password)).status_code == 200


def test_a_taken_port_of_flowers_is_one_clear_line(up: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = up("--flower", FLOWER_PORT=str(taken.getsockname()[1]))
        assert refused.wait_for_end() == 1
    assert len(refused.said.strip().splitlines()) == 1
    assert "FLOWER_PORT=" in refused.said


def test_the_apis_port_is_none_for_flower(up: Run, fresh: dict[str, str]) -> None:
    refused = up("--flower", FLOWER_PORT=fresh["PORT"])

    assert refused.wait_for_end() == 1
    assert len(refused.said.strip().splitlines()) == 1
    assert "FLOWER_PORT=" in refused.said


@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_clients_own_tests_pass_against_it(up: Run, fresh: dict[str, str]) -> None:
    """All of them but those that stop the server."""
    running = up("--no-sample").wait_until_up()
    key = (Path(fresh["DATA_DIR"]) / "dev.key").read_text().strip()
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/job_client"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    tested = subprocess.run(
        suite,
        cwd=ROOT,
        env=kept | {"TASKGATE_URL": running.base_url, "TASKGATE_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout
    counted = {what: int(number) for number, what in re.findall(r"(\d+) (passed|skipped)", tested.stdout)}
    assert counted["passed"] > 90
    assert tested.stdout.count("a server that runs is not for stopping") == counted["skipped"]
