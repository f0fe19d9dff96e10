"""Stock Celery and ours, behind one surface, so that one probe looks at both."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.conftest import ROOT, RedisServer, Worker, wait_until
from tests.delivery.test_leases import kill_all
from tests.installation import PATIENT

#: What ``celery -A`` names.
APPLICATIONS = {"stock": "tests.against_stock.stock_app:celery_app", "ours": "libs.flask_celery:celery_app"}

#: The options of a broker whose dead workers' messages are given back after 3 s, when both systems look often enough.
SHORT_TIMEOUT = {"visibility_timeout": 3, "unacked_restore_interval": 0.5, "unacked_restore_throttle": 1}

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}


def contrast(*, stock: object, ours: object) -> pytest.MarkDecorator:
    """Run the test with each ``system`` and what is ``expected`` to be seen of it.

    The same probe sees the failure at stock Celery, so it is shown that it could see it at ours.
    """
    assert stock != ours
    systems = [pytest.param(name, seen, id=name) for name, seen in (("stock", stock), ("ours", ours))]
    return pytest.mark.parametrize(("system", "expected"), systems, indirect=["system"])


class Place(StrEnum):
    """Where a job's message is."""

    QUEUED = "in its queue"
    HELD = "registered as some worker's"
    PARKED = "kept elsewhere in the broker"
    NOWHERE = "nowhere"


class NoAnswerError(Exception):
    """The client has not answered in time; it has been killed."""


class ClientError(Exception):
    """What the client was asked for has raised; the text is the name of the class."""


class Client:
    """A process that publishes; see ``client.py``."""

    def __init__(self, name: str, environment: dict[str, str], log_path: Path) -> None:
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.against_stock.client", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=environment,
                text=True,
            )

    def ask(self, command: str, *arguments: Any, timeout: float = 60) -> Any:
        """Raises: ClientError, NoAnswerError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([command, arguments]) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            self.stop()
            raise NoAnswerError
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["value"]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@dataclass
class System:
    """One of the two, on this test's Redis."""

    name: str
    redis: RedisServer
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    patient: bool = True  # its client waits for a Redis that other tests keep busy, as ours does not by itself

    def __post_init__(self) -> None:
        (self.folder / "var").mkdir()
        self.broker, self.results = (
            Redis.from_url(self.redis.url, db=database, decode_responses=True) for database in (2, 1)
        )

    def environment(self, settings: dict[str, Any], fault: str = "") -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("CELERY_")}
        inherited.pop("DATABASE_URL", None)
        if self.name == "stock":
            said = {"STOCK_SETTINGS": json.dumps(settings)}
        else:
            said = {f"CELERY_{name.upper()}": json.dumps(value) for name, value in settings.items()}
        places = {"REDIS_URL": self.redis.url, "DATA_DIR": str(self.folder / "var"), "PROBE_FOLDER": str(self.folder)}
        paths = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return {**inherited, **places, **paths, **said, "FAULT": fault}

    def start_worker(self, *options: str, fault: str = "", **settings: Any) -> Worker:
        """A worker with Celery's ``settings``, one of ``faults`` armed. Returns: as it is ready."""
        modules = ["tests.against_stock.probe_tasks", *(["tests.against_stock.faults"] if fault else [])]
        worker = Worker(
            self.environment(settings, fault),
            self.folder / f"worker{len(self.workers)}.log",
            *("-I", ",".join(modules), *options),
            application=APPLICATIONS[self.name],
        )
        self.workers.append(worker)
        return worker.wait_ready()

    @property
    def client(self) -> Client:
        if not self.clients or self.clients[-1].process.poll() is not None:
            environment = {**self.environment({}), **(PATIENT if self.patient and self.name == "ours" else {})}
            self.clients.append(Client(self.name, environment, self.folder / "client.log"))
        return self.clients[-1]

    def publish(self, name: str, *args: Any, **options: Any) -> str:
        """Returns: the task id."""
        return str(self.client.ask("publish", name, args, options))

    def state(self, task_id: str) -> str:
        """As Celery reads it from the record: what has none is PENDING."""
        return str(self.meta(task_id).get("status", "PENDING"))

    def meta(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.results.get(f"celery-task-meta-{task_id}") or "{}")
        return found

    def ended(self, task_id: str, *, timeout: float = 60) -> str:
        """The final state, once it is one."""
        wait_until(lambda: self.state(task_id) in FINAL, timeout=timeout, what=f"the end of {task_id}")
        return self.state(task_id)

    def place(self, task_id: str) -> Place:
        """Where the broker has the job's message."""
        if any(task_id in message for message in self.broker.lrange("default", 0, -1)):
            return Place.QUEUED
        if any(task_id in message for message in self.broker.hvals("unacked")):
            return Place.HELD
        lists = [key for key in self.broker.scan_iter() if self.broker.type(key) == "list"]
        kept = any(task_id in message for key in lists for message in self.broker.lrange(key, 0, -1))
        return Place.PARKED if kept else Place.NOWHERE

    def notes(self, label: str) -> list[Any]:
        """What jobs have noted under ``label``."""
        path = self.folder / f"{label}.notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def tell(self, label: str) -> None:
        """Let the job end that works until it is told."""
        (self.folder / f"{label}.go").touch()

    def stop(self) -> None:
        for client in self.clients:
            client.stop()
        for worker in self.workers:
            if worker.process.poll() is None:
                kill_all(worker)
        self.broker.close()
        self.results.close()


@contextmanager
def frozen(redis: RedisServer) -> Iterator[None]:
    """Redis accepts connections and says nothing."""
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.process.send_signal(signal.SIGCONT)
