"""A system that is measured: its processes, and how its jobs are submitted and polled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
from redis import Redis

from bench.rates.http import Connection, request
from libs.local_stack import EmbeddedRedis
from tests.conftest import wait_until

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a job is submitted and polled."""

    submit: str
    body: str
    content_type: str
    id: str  # the field of the answer that names the job
    poll: str  # "{id}" in it
    final: str  # what an answer to a poll has in it, spaces left out, once the job has ended
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Only where the system offers them.
    held_poll: str | None = None
    wait: Mapping[str, str] | None = None  # headers of a submission that is answered once the job has ended
    batch: str | None = None

    def submission(self, **more: str) -> bytes:
        return request("POST", self.submit, {"Content-Type": self.content_type, **self.headers, **more}, self.body)

    def reading(self, task_id: str, *, held: bool = False, **more: str) -> bytes:
        path = (self.held_poll if held and self.held_poll else self.poll).replace("{id}", task_id)
        return request("GET", path, {**self.headers, **more})

    def id_in(self, body: bytes) -> str:
        return str(json.loads(body)[self.id])

    def is_final(self, body: bytes) -> bool:
        return self.final.encode() in body.replace(b": ", b":")


@dataclass(frozen=True, slots=True)
class Command:
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path


@dataclass
class System:
    """One of those that are compared. Its Redis and API run while the context lasts, its workers when asked for."""

    name: str
    title: str
    protocol: Protocol
    port: int
    folder: Path
    redis: EmbeddedRedis
    api: Command
    workers: Sequence[Command]
    appendfsync: str = "always"
    api_process: psutil.Process | None = None
    redis_process: psutil.Process | None = None
    worker_processes: list[psutil.Process] = field(default_factory=list)
    _running: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> System:
        try:
            self._start_serving()
        except BaseException:  # a signal, too: nothing is left behind
            self._running.close()
            raise
        return self

    def _start_serving(self) -> None:
        self.redis.prepare()
        environment = dict(os.environ)
        self.redis_process = self._start("redis", Command(self.redis.argv, environment, self.folder))
        wait_until(lambda: _answers(self.redis.ready), timeout=60, what=f"the Redis of {self.name}")
        with self.redis_client() as client:
            client.config_set("appendfsync", self.appendfsync)
            client.config_set("auto-aof-rewrite-percentage", 0)  # none of them rewrites its file while it is measured
        self.api_process = self._start("api", self.api)
        wait_until(self._listens, timeout=60, what=f"the API of {self.name}")

    def __exit__(self, *_: object) -> None:
        self.stop_workers()
        self._running.close()

    def redis_client(self) -> Redis:
        return Redis(unix_socket_path=str(self.redis.socket_path))

    def connect(self) -> Connection:
        return Connection(HOST, self.port)

    def start_workers(self) -> None:
        assert not self.worker_processes
        self.worker_processes = [
            self._start(f"worker-{number}", command, stops=False) for number, command in enumerate(self.workers)
        ]

    def stop_workers(self) -> None:
        _stop(self.worker_processes)
        self.worker_processes = []

    def forget_jobs(self) -> None:
        """Everything in its Redis goes; no worker may run."""
        assert not self.worker_processes
        with self.redis_client() as client:
            client.flushall()

    def warm_up_workers(self, jobs: int = 20) -> None:
        """Returns once jobs are run."""
        with self.connect() as connection:
            ids = [self.protocol.id_in(connection.ask(self.protocol.submission()).body) for _ in range(jobs)]
            for task_id in ids:
                self.wait_final(connection, task_id)

    def wait_final(self, connection: Connection, task_id: str, *, pause: float = 0.005, timeout: float = 180) -> None:
        """Raises: AssertionError when the job has not ended by then."""
        asked, deadline = self.protocol.reading(task_id), time.monotonic() + timeout
        while not self.protocol.is_final((answer := connection.ask(asked)).body):
            assert time.monotonic() < deadline, f"{self.name}: a job has not ended: {answer.body[:300]!r}"
            time.sleep(pause)

    def _start(self, name: str, command: Command, *, stops: bool = True) -> psutil.Process:
        log: IO[bytes] = self._running.enter_context((self.folder / f"{name}.log").open("ab"))
        process = psutil.Popen(
            command.argv, env=dict(command.env), cwd=command.cwd, stdout=log, stderr=log, start_new_session=True
        )
        if stops:
            self._running.callback(_stop, [process])
        return process

    def _listens(self) -> bool:
        assert self.api_process is not None
        assert self.api_process.status() != psutil.STATUS_ZOMBIE, (
            f"the API of {self.name} ended:\n{(self.folder / 'api.log').read_text(errors='replace')[-2000:]}"
        )
        with suppress(OSError), self.connect() as connection:
            return connection.ask(request("GET", "/", {})).status > 0
        return False


def _answers(ready: Callable[[], bool]) -> bool:
    with suppress(OSError):
        return ready()
    return False


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """That they and their children have used."""
    total = 0.0
    for process in processes:
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system
    return total


def resident(process: psutil.Process) -> int:
    """Bytes of it and its children."""
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])


def _stop(processes: Sequence[psutil.Process]) -> None:
    """All at once, and with SIGKILL what has not ended after 15 s."""
    everything = [*processes]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            everything += process.children(recursive=True)
            process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(everything, timeout=15)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for process in processes:
        if isinstance(process, psutil.Popen):
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
