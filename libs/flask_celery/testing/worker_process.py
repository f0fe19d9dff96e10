"""A real worker for tests."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from libs.flask_celery.testing.waiting import wait_until

#: Where the application and this library are: where an operator starts the worker.
ROOT = Path(__file__).parents[3]


class WorkerProcess:
    """A real ``celery worker`` process, started as an operator starts it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log_path: Path,
        *options: str,
        application: str = "libs.flask_celery:celery_app",
    ) -> None:
        self.log_path = log_path
        self.name = f"w{time.monotonic_ns()}@test"
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", application, "worker"),
                    *("--hostname", self.name, "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
                    *options,
                ],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> Self:
        """Raises: AssertionError with its log when it has ended instead."""
        wait_until(self._ready_or_dead, timeout=60, what=f"worker {self.name}")
        return self

    def _ready_or_dead(self) -> bool:
        self.require_alive()
        return f"{self.name} ready" in self.log

    def require_alive(self) -> None:
        """Raises: AssertionError with its log when it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended:\n{self.log}")

    @property
    def log(self) -> str:
        """What it has written so far, on both streams."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """As an operator does, and by force after half a minute."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
