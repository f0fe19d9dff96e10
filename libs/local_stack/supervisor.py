"""Starts children in order, keeps them running, stops them in reverse order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from libs.local_stack.child import Child, ChildSpec
from libs.local_stack.errors import ChildFailedError, ChildNotReadyError
from libs.local_stack.restarts import READINESS_INTERVAL, Backoff, RestartedChild
from libs.local_stack.wake_signals import WakeSignals

_REAP_TIMEOUT = 5.0


class Supervisor:
    """Runs `children`; `announce` gets one line for each thing the user should know.

    For the main thread of a program: `with Supervisor(…) as supervisor: supervisor.start(); …;
    supervisor.run_until_stopped()`. From `start()` to `stop()` SIGINT, SIGTERM and SIGHUP are requests to
    stop; between `start()` and `run_until_stopped()` they raise `KeyboardInterrupt`.
    """

    def __init__(
        self, children: Sequence[ChildSpec], announce: Callable[[str], None], backoff: Backoff | None = None
    ) -> None:
        self._announce = announce
        self._members = [RestartedChild(spec, backoff or Backoff(), self._say) for spec in children]
        self._signals = WakeSignals()
        self._started: list[RestartedChild] = []

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def pids(self) -> dict[str, int]:
        """Returns by its name the process number of each child that runs."""
        return {member.spec.name: pid for member in self._started if (pid := member.child.pid) is not None}

    def start(self) -> None:
        """Starts the children in order, each after the one before is ready; on an error stops all again.

        Raises:
            ChildFailedError: one ended before all were ready; or the error that its spec's `fatal` returned.
            ChildNotReadyError: one was not ready within its `ready_timeout`.
            KeyboardInterrupt: a request to stop came.
        """
        self._signals.install()
        self._signals.interrupting = False
        try:
            for member in self._members:
                self._started.append(member)
                member.child.start()
                self._await_ready(member)
            self._signals.interrupting = True
            self._raise_if_stop_requested()
        except BaseException:
            self.stop()
            raise

    def run_until_stopped(self) -> None:
        """Restarts what dies until SIGINT, SIGTERM or SIGHUP comes; then returns, with all still running.

        Raises the error of a child's `fatal` when a restart is pointless.
        """
        self._signals.interrupting = False
        while not self._signals.stop_requests:
            waits = [member.tend() for member in self._started]
            self._signals.wait(min((wait for wait in waits if wait is not None), default=None))

    def stop(self) -> None:
        """Stops the children, the last started first. A second request to stop kills all at once.

        Each gets its `stop_signal`, and after `stop_timeout` SIGKILL with its whole group. May be called
        again.
        """
        self._signals.interrupting = False
        for member in reversed(self._started):
            self._stop_one(member)
        self._started.clear()
        self._signals.restore()

    def _await_ready(self, member: RestartedChild) -> None:
        while True:
            self._raise_if_stop_requested()
            self._raise_if_one_died()
            if member.child.is_ready():
                break
            if time.monotonic() - member.child.started_at > member.spec.ready_timeout:
                log_tail = member.child.log_tail()
                raise ChildNotReadyError(member.spec.name, member.spec.ready_timeout, log_tail, member.child.doubt)
            self._signals.wait(READINESS_INTERVAL)
        member.ready = True
        self._say(f"{member.spec.name} ready after {time.monotonic() - member.child.started_at:.1f} s")

    def _raise_if_stop_requested(self) -> None:
        if self._signals.stop_requests:
            raise KeyboardInterrupt

    def _raise_if_one_died(self) -> None:
        for member in self._started:
            code = member.child.exit_code()
            if code is None or (member.ready and not member.spec.restart):
                continue
            raise member.fatal_error() or ChildFailedError(member.spec.name, code, member.child.log_tail())

    def _stop_one(self, member: RestartedChild) -> None:
        if member.child.pid is None:
            return
        if self._signals.stop_requests < 2:
            member.child.ask_to_stop()
            if self._gone_within(member.child, member.spec.stop_timeout):
                self._say(f"{member.spec.name} stopped")
                return
        if self._signals.stop_requests < 2:
            self._say(f"{member.spec.name} did not stop within {member.spec.stop_timeout:g} s, killed")
            member.child.kill()
        else:
            for other in self._started:
                other.child.kill()
        # Only a process stuck inside the kernel survives that, and waiting longer would not help it.
        self._gone_within(member.child, _REAP_TIMEOUT, impatient=False)

    def _gone_within(self, child: Child, seconds: float, impatient: bool = True) -> bool:
        deadline = time.monotonic() + seconds
        while child.exit_code() is None:
            left = deadline - time.monotonic()
            if left <= 0 or (impatient and self._signals.stop_requests >= 2):
                return False
            self._signals.wait(left)
        return True

    def _say(self, line: str) -> None:
        # A terminal that is gone must not keep the children from being restarted or stopped.
        with contextlib.suppress(OSError):
            self._announce(line)
