"""The site as its README starts it, beside a Taskgate on one Redis, and a visitor with a browser's cookies.

The site is never imported here: a process that has two Celery apps gives each the other's shared tasks.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import httpx

from tests.conftest import Worker, wait_until
from tests.installation import Installation, an_installation

SITE_DIR = Path(__file__).parents[1]
WORKER_NAME = "site@test"

FINAL_STATES = ("SUCCESS", "FAILURE", "REVOKED")


class Visitor:
    """Keeps cookies as a browser does, and follows no redirects by itself."""

    def __init__(self, site_url: str) -> None:
        self.http = httpx.Client(base_url=site_url, timeout=30)

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Open the form's page, fill it in and send it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.http.get(path).text)
        assert token is not None
        return self.http.post(path, data={"csrfmiddlewaretoken": token[1], **fields})

    def submitted(self, path: str, **fields: str) -> str:
        """The address of the job's page."""
        response = self.submit(path, **fields)
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def state(self, address: str) -> str:
        return _element(self.http.get(address).text, "state")

    def result(self, address: str) -> str:
        """Asks the page again until there is one, as the page does by itself."""
        wait_until(lambda: self.state(address) in FINAL_STATES, what=f"the end of {address}")
        return _element(self.http.get(address).text, "result")


def _element(page: str, name: str) -> str:
    found = re.search(rf'id="{name}">([^<]*)<', page)
    assert found is not None, page
    return unescape(found[1])


def task_id_of(address: str) -> str:
    return address.strip("/").rpartition("/")[2]


@dataclass
class RunningSite:
    """The site's processes, and what they share a Redis with."""

    taskgate: Installation
    taskgate_worker: Worker
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)  # environment variables
    processes: ExitStack = field(default_factory=ExitStack)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of Taskgate's: neither its settings nor the path to its code."""
        place = {"REDIS_URL": self.taskgate.redis.socket_url, "SITE_DATA_DIR": str(self.folder / "site")}
        return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **place, **self.settings}

    @contextmanager
    def taskgate_paused(self) -> Iterator[None]:
        """Its worker takes nothing in this block."""
        control = self.taskgate.app.extensions["celery"].control
        assert control.cancel_consumer("default", reply=True, timeout=20, limit=1)
        try:
            yield
        finally:
            assert control.add_consumer("default", reply=True, timeout=20, limit=1)

    @property
    def worker_log(self) -> str:
        return (self.folder / "site-worker.log").read_text(errors="replace")

    def run(self, *command: str) -> str:
        """What ``python …``, run to its end in the site's directory, has said."""
        done = subprocess.run(
            [sys.executable, *command],
            env=self.environment,
            cwd=SITE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_worker(self) -> subprocess.Popen[bytes]:
        options = ("--beat", "--loglevel", "INFO", "--concurrency", "1", "--hostname", WORKER_NAME)
        worker = self._start("site-worker.log", "-m", "celery", "-A", "django_site", "worker", *options)
        wait_until(
            lambda: _alive(worker) and f"{WORKER_NAME} ready" in self.worker_log, timeout=60, what="its worker"
        )
        return worker

    def start_pages(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        address = self.url.removeprefix("http://")
        server = self._start("site.log", "manage.py", "runserver", "--noreload", address)
        wait_until(lambda: _alive(server) and _answers(self.url), timeout=60, what="the site")

    def _start(self, log_name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / log_name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], env=self.environment, cwd=SITE_DIR, stdout=log, stderr=log
            )
        self.processes.callback(stop, process)
        return process

    @contextmanager
    def visitor(self) -> Iterator[Visitor]:
        visitor = Visitor(self.url)
        with visitor.http:
            yield visitor


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the process has ended"
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def received(log: str) -> list[tuple[str, str]]:
    """The names and ids of the tasks that a worker says it has received."""
    return re.findall(r"Task (\S+)\[(\S+)\] received", log)


@contextmanager
def running_site(
    folder: Path, *, settings: dict[str, str] | None = None, **taskgate_settings: str
) -> Iterator[RunningSite]:
    """A Taskgate with a worker, the site with its worker and beat, on one Redis; all settings are variables."""
    with ExitStack() as stack:
        taskgate = stack.enter_context(an_installation(folder, **taskgate_settings))
        worker = taskgate.start_worker("--concurrency", "1")
        site = RunningSite(taskgate, worker, folder, settings or {})
        stack.enter_context(site.processes)
        site.run("manage.py", "migrate")
        site.start_worker()
        site.start_pages()
        yield site
