"""One supervised process and its process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.local_stack.child_log import ChildLog
from libs.local_stack.errors import LocalStackError

_EXEC_CHILD = Path(__file__).with_name("exec_child.py")


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What to run, and how to treat it. Times are in seconds.

    `env` is the whole environment, as for `subprocess`. `ready` answers within about a second; False and any
    exception mean "not yet"; None: ready when started. `stop_signal` asks for a clean end, also when the
    supervisor was killed. `restart` False: a death is announced and left at that. `fatal` reads the log's
    last lines after a death and returns an error if another start would end the same way; that is raised in
    place of a restart.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool] | None
    ready_timeout: float
    stop_signal: int = signal.SIGTERM
    stop_timeout: float
    log_path: Path
    restart: bool = True
    fatal: Callable[[str], LocalStackError | None] | None = None


class Child:
    """A process made from a `ChildSpec`, started any number of times, one after the other."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.started_at = 0.0
        self.doubt = ""
        self._log = ChildLog(spec.log_path)
        self._process: subprocess.Popen[bytes] | None = None
        self._group_killed = False

    @property
    def pid(self) -> int | None:
        """The number of the process, None where none runs."""
        return self._process.pid if self._process is not None and self.exit_code() is None else None

    def start(self) -> None:
        """Starts the program in a session of its own: the terminal's Ctrl-C reaches the supervisor only.

        Call it from the main thread: `exec_child` says why.
        """
        command = [sys.executable, "-I", "-S", str(_EXEC_CHILD)]
        command += [str(os.getpid()), str(int(self.spec.stop_signal))]
        log = self._log.open()
        try:
            self._process = subprocess.Popen(
                [*command, *self.spec.argv],
                env=dict(self.spec.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._group_killed = False
        self.started_at = time.monotonic()

    def exit_code(self) -> int | None:
        """Returns None before the start and while the process runs, then its code (negative: a signal)."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None and not self._group_killed:
            # The rest of its group would keep a port, a job or a file that the next start needs.
            self._group_killed = True
            self._kill_group(self._process.pid)
        return code

    def is_ready(self) -> bool:
        """Asks the spec's `ready`, not whether the process lives; `doubt` says what that raised, or ""."""
        self.doubt = ""
        if self.spec.ready is None:
            return True
        try:
            return self.spec.ready()
        except Exception as error:  # noqa: BLE001 - a check may fail in any way while what it asks is away
            self.doubt = " ".join(f"{type(error).__name__}: {error}".split())
            return False

    def ask_to_stop(self) -> None:
        """Sends `stop_signal` to the process alone, not to its group.

        gunicorn and Celery stop their own children in order; a Celery pool process that got SIGTERM itself
        would end in the middle of a job.
        """
        if self._process is not None:
            self._process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        """Sends SIGKILL to the whole process group, where the process still runs."""
        if self._process is not None and self.exit_code() is None:
            self._kill_group(self._process.pid)

    def log_tail(self) -> str:
        """Returns the last lines the process wrote since its last start."""
        return self._log.tail()

    @staticmethod
    def _kill_group(group: int) -> None:
        # Usually nobody is left in it. macOS says "not permitted" of a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
