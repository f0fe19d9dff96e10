"""One installation for a whole test module: a Redis and a data directory of its own, the application, its processes.

The fixtures of ``conftest.py`` empty their Redis for each test; a module whose tests share finished jobs, or that
stops Redis, takes one of these instead.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
from flask import Flask
from redis import Redis
from sqlalchemy import func, select

from app import create_app
from app.api_keys import Scope, create_key
from app.extensions import Base, db
from app.files import Uploads
from config import BROKER_DATABASE, RESULT_DATABASE, load_config
from libs.flask_celery.accept_script import ACCEPTED
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.message_copy import message_of
from libs.flask_celery.testing import ROOT, wait_until
from libs.flask_celery.testing import Installation as AuthorsInstallation
from libs.flask_celery.testing import an_installation as authors_installation
from libs.flask_celery.testing.installation import PATIENT

API = "/api/1.0"

__all__ = ["API", "PATIENT", "ApiServer", "Installation", "an_installation", "assert_problem", "bearer"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def assert_problem(response: Any, status: int, *fields: str) -> None:
    """A problem document (RFC 9457) of this status that says what to do, with messages for these fields.

    Takes responses of the test client and of httpx.
    """
    body = response.json() if callable(response.json) else response.json
    assert response.status_code == status, body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert (body["type"], body["title"], body["status"]) == ("about:blank", HTTPStatus(status).phrase, status)
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["detail"].endswith(".")
    assert len(body["detail"].split()) > 4
    assert set(fields) <= set(body.get("errors", {})), body


class ApiServer:
    """A real gunicorn on a free loopback port, or on that of one that was killed."""

    def __init__(
        self,
        environment: dict[str, str],
        log_path: Path,
        port: int | None = None,
        application: str = "app:create_app()",
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = port or probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = log_path
        command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{self.port}"]
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--graceful-timeout", "5"], env=environment, cwd=ROOT, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_ready(self) -> ApiServer:
        wait_until(self._ready_or_dead, timeout=60, what="gunicorn")
        return self

    def _ready_or_dead(self) -> bool:
        assert self.process.poll() is None, f"gunicorn ended:\n{self.log}"
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """With SIGKILL, all of it at once: nobody can say or finish anything."""
        serving = psutil.Process(self.process.pid).children()
        self.process.kill()  # first, or it would start another one
        for process in serving:
            process.kill()
        self.process.wait(10)
        psutil.wait_procs(serving, 10)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@dataclass
class Installation(AuthorsInstallation):
    """That of a job author, with what the tests of the service itself want."""

    def headers(self, principal: str = "ann", *scopes: Scope) -> dict[str, str]:
        """Those of a new key of the principal, with every scope but admin unless some are named."""
        with self.app.app_context():
            key = create_key(db.session(), principal, set(scopes) or {Scope.SUBMIT, Scope.READ, Scope.CANCEL})
            db.session.commit()
        return bearer(key)

    def accept(self, owner: str, *, task: str = "maintenance.adds", submitted_at: int | None = None) -> str:
        """Write the record of a job that no worker will ever take; returns its task id."""
        task_id = str(uuid4())
        facts = SubmissionFacts(submitted_at=submitted_at or time.time_ns() // 1_000_000, owner=owner)
        headers = {"id": task_id, "task": task, HEADER: facts.to_header()}
        message = message_of(headers, {}, [[], {}, {}], "json")
        assert self.backend.accept_job(message, "default") == ACCEPTED
        return task_id

    def upload(self, owner: str, content: bytes = b"code,name\nA-1,Bolt\n", *, name: str = "parts.csv") -> str:
        """A file of the owner's; returns its id."""
        with self.app.app_context():
            uploads: Uploads = self.app.extensions["uploads"]
            with uploads.receive(owner=owner, name=name, content_type="text/csv", length=len(content)) as incoming:
                incoming.write(content)
                return incoming.finish()

    def expire(self, task_id: str) -> None:
        """Let the result's time to live pass now."""
        self.backend.client.pexpire(self.backend.keys.meta(task_id), 1)
        wait_until(lambda: not self.backend.client.exists(self.backend.keys.meta(task_id)), what="the expiry")

    def what_is_kept(self) -> dict[str, object]:
        """Everything that a request could leave behind: Redis by key and value, rows by table, files with sizes."""
        kept: dict[str, object] = {}
        for database in (0, BROKER_DATABASE, RESULT_DATABASE):
            with Redis.from_url(f"{self.redis.url}/{database}") as client, client.pipeline(transaction=False) as pipe:
                keys = list(client.scan_iter(count=1000))
                for key in keys:
                    pipe.dump(key)
                kept |= {f"redis {database} {key!r}": value for key, value in zip(keys, pipe.execute(), strict=True)}
        with self.app.app_context():
            for name, table in Base.metadata.tables.items():
                kept[f"rows of {name}"] = db.session.scalar(select(func.count()).select_from(table))
        files = [path for path in (self.folder / "var" / "files").rglob("*") if path.is_file()]
        return kept | {str(path): path.stat().st_size for path in files}

    def start_api(self, port: int | None = None, *, application: str = "app:create_app()") -> ApiServer:
        server = ApiServer(self.environment, self.folder / "api.log", port, application)
        self.processes.callback(server.stop)
        return server.wait_ready()


@contextmanager
def an_installation(folder: Path, *, testing: bool = False, **settings: str) -> Iterator[Installation]:
    """``settings`` are environment variables; ``{redis}`` in one is the address of this Redis, without a database."""

    def create() -> Flask:
        return create_app(replace(load_config(), testing=testing))

    with authors_installation(create, folder, Installation, **settings) as installation:
        yield installation
