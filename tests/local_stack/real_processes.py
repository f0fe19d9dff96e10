"""Starting, awaiting and ending real processes: small Python children, supervisors, a Redis server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis import Redis

from libs.local_stack import ChildSpec, EmbeddedRedis

REPOSITORY = Path(__file__).parents[2]

MakeSpec = Callable[..., ChildSpec]


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Returns as soon as `condition()` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """True once the process has ended. One that init has not buried yet is gone, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass
class Processes:
    """Starts programs and kills what is left of them, group by group, at the end of the test."""

    started: list[subprocess.Popen[str]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)

    def start(self, argv: list[str], **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        self.groups.append(process.pid)
        return process

    def start_python(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        return self.start([sys.executable, "-c", code, *arguments])

    def end(self) -> None:
        """Kills every group that was started, and what was added to `groups`."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for process in self.started:
            process.communicate(timeout=10)


@dataclass
class RedisProcess:
    """An embedded Redis without a supervisor."""

    redis: EmbeddedRedis
    log: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


StartRedis = Callable[[EmbeddedRedis], RedisProcess]


def client_of(redis: EmbeddedRedis) -> Redis:
    return Redis(unix_socket_path=str(redis.socket_path), decode_responses=True)


def append_only_file(redis: EmbeddedRedis) -> Path:
    """The file the server appends to, in the layout of Redis 6 or of 7."""
    newer = list(redis.data_dir.glob("appendonlydir/*.incr.aof"))
    return newer[0] if newer else redis.data_dir / "appendonly.aof"


def store(redis: EmbeddedRedis, **values: str) -> None:
    """Stores, and returns when the kernel has it, which a kill -9 of the server does not undo."""
    with client_of(redis) as client:
        client.mset(values)
        wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0)
