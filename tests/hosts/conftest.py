"""An installation over several hosts: Redis, the API and two workers, each with an address of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError

from config import RESULT_DATABASE
from libs.local_stack import find_redis_server
from tests.chaos.append_only_file import written_ends
from tests.conftest import ROOT, wait_until
from tests.hosts.network import Host, a_network, why_not
from tests.hosts.variables import FOLDER, HOST

#: Seconds.
VISIBILITY_TIMEOUT = 3.0

#: The hosts that have a worker of one process.
WORKERS = ["alpha", "beta"]

_API_PORT = 8000
_REDIS_PORT = 6379


@dataclass
class Hosts:
    folder: Path
    hosts: dict[str, Host]
    environment: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, words: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.hosts[name].command(words),
                env={**self.environment, HOST: name},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Of a client on the API's host, which reaches the API whatever is unplugged."""
        url = f"http://{self.hosts['api'].address}:{_API_PORT}/api/1.0{path}"
        send = lambda: httpx.request(method, url, headers=self.headers, timeout=10, **options)  # noqa: E731
        return self.hosts["api"].call(send)

    def submit(self, label: str) -> str:
        answer = self.request("POST", "/tasks/hosts.run/jobs", json={"label": label})
        assert answer.status_code == 202, answer.text
        task_id: str = answer.json()["task_id"]
        return task_id

    def result(self, task_id: str) -> dict[str, Any]:
        answer = self.request("GET", f"/results/{task_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def ended(self, task_id: str, timeout: float = 30) -> dict[str, Any]:
        wait_until(lambda: self.result(task_id)["ready"], timeout=timeout, what=f"the end of {task_id}")
        return self.result(task_id)

    def noted(self, label: str, event: str) -> list[str]:
        """The hosts on which the job has ``started`` or ``ended``, in that order."""
        path = self.folder / f"{label}-{event}"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def say_go(self, label: str, *names: str) -> None:
        for name in names:
            (self.folder / f"{label}-go-{name}").touch()

    def ends_written(self, task_id: str) -> list[str]:
        """Every end of the job that Redis's append-only file knows."""
        return written_ends(self.folder / "redis").states[task_id]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """One installation for all the module's tests."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"several hosts: {reason}")
    with ExitStack() as stack:
        network = stack.enter_context(a_network("redis", "api", *WORKERS))
        folder = tmp_path_factory.mktemp("hosts")
        found = Hosts(folder, network, _environment(folder, network["redis"].address))
        stack.callback(_stop, found)
        _start_redis(found)
        _manage(found, "db", "upgrade")
        scopes = [word for scope in ("submit", "read") for word in ("--scope", scope)]
        found.headers["Authorization"] = f"Bearer {_manage(found, 'keys', 'create', 'ann', *scopes).split()[-1]}"
        address = f"{network['api'].address}:{_API_PORT}"
        found.start(
            "api", [sys.executable, "-m", "gunicorn", "tests.hosts.api:create_hosts_app()", "--bind", address]
        )
        for name in WORKERS:
            command = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app", "worker"]
            options = ["--hostname", f"{name}@hosts", "--concurrency", "1", "--loglevel", "INFO"]
            found.start(name, [*command, *options, "--without-gossip", "--without-mingle"])
        for name in WORKERS:
            wait_until(lambda: _ready_or_dead(found, name, f"{name}@hosts ready"), timeout=60, what=name)  # noqa: B023
        wait_until(lambda: _ready_or_dead(found, "api", "Booting worker"), timeout=60, what="the API")
        yield found


def _environment(folder: Path, redis_address: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    inherited.pop("DATABASE_URL", None)
    transport = {"visibility_timeout": VISIBILITY_TIMEOUT, "unacked_restore_interval": 0.5}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "REDIS_URL": f"redis://{redis_address}:{_REDIS_PORT}",
        "DATA_DIR": str(folder / "var"),
        "CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(transport),
        "CELERY_IMPORTS": "tests.hosts.host_jobs",
        FOLDER: str(folder),
    }


def _start_redis(found: Hosts) -> None:
    (found.folder / "redis").mkdir()
    host = found.hosts["redis"]
    options = {
        "bind": host.address,
        "port": _REDIS_PORT,
        "protected-mode": "no",  # its network is the namespaces'
        "dir": found.folder / "redis",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        "auto-aof-rewrite-percentage": 0,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    found.start("redis", [str(find_redis_server()), *words])

    def answers() -> bool:
        try:
            with Redis(host=host.address, port=_REDIS_PORT, db=RESULT_DATABASE) as client:
                return bool(client.ping())
        except RedisError:
            return False

    wait_until(lambda: host.call(answers), what="Redis")


def _manage(found: Hosts, *words: str) -> str:
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=found.environment, check=True, capture_output=True, text=True).stdout


def _ready_or_dead(found: Hosts, name: str, words: str) -> bool:
    assert found.processes[name].poll() is None, f"{name} ended:\n{found.log(name)}"
    return words in found.log(name)


def _stop(found: Hosts) -> None:
    for process in reversed(found.processes.values()):
        process.terminate()
    for process in reversed(found.processes.values()):
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
