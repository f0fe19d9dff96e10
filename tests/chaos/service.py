"""A process that is attacked, and the supervisor that starts it again, as an operator's would."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.chaos.plan import Attack, Part
from tests.conftest import ROOT, wait_until

#: Seconds between SIGTERM and the supervisor's SIGKILL, as systemd and Docker have such a limit.
STOP_LIMIT = 40.0

_RESTART_PAUSE = 0.2


class Service:
    """One service of the installation: always started again until ``stop()``.

    Args:
        ready: told the log that this start has written, says whether the service takes work.
        sweeps: whether what is left of its processes is killed before the next start, as systemd does by default;
            without it orphans go on beside their parent's successor.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        *,
        ready: Callable[[str], bool],
        sweeps: bool = False,
    ) -> None:
        self.name, self.command, self.environment, self.log_path = name, command, environment, log_path
        #: Exits that no attack explains: (exit code, Unix time).
        self.unprovoked: list[tuple[int, float]] = []
        #: How often SIGTERM was not enough.
        self.had_to_be_killed = 0
        #: Times without the service: from an exit to the next readiness.
        self.outages: list[tuple[float, float]] = []
        self._ready, self._sweeps = ready, sweeps
        self._groups: list[int] = []
        self._provoked: set[int] = set()
        self._stopping = threading.Event()
        self._is_up = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervisor of {name}", daemon=True)

    def start(self) -> None:
        self._supervisor.start()

    def wait_ready(self, timeout: float = 60) -> bool:
        return self._is_up.wait(timeout)

    @property
    def starts(self) -> int:
        """How often this service was started."""
        return len(self._groups)

    def victims(self, part: Part, choice: float) -> list[psutil.Process]:
        """The processes that an attack on ``part`` means; empty while there is none."""
        process = self._process
        if process is None or process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            children = sorted(parent.children(recursive=True), key=lambda child: child.pid)
            if part is Part.PARENT:
                return [parent]
            if part is Part.CHILD:
                return [children[int(choice * len(children))]] if children else []
            return [parent, *children]
        return []

    def strike(self, attack: Attack, healed: threading.Event) -> list[int]:
        """Do what the attack says and wait for its end. Returns: the pids it hit."""
        victims = self.victims(attack.part, attack.choice)
        process = self._process
        pids = [victim.pid for victim in victims]
        if attack.signal is not signal.SIGSTOP and attack.part is not Part.CHILD:
            self._provoked.update(pids)
        _send(victims, attack.signal)
        if attack.signal is signal.SIGSTOP:
            healed.wait(attack.pause)
            _send(victims, signal.SIGCONT)
        elif attack.signal is signal.SIGTERM and process is not None and process.pid in pids:
            self._end_within(process, STOP_LIMIT)
        return pids

    def stop(self) -> None:
        """End the service for good, and all that it has ever left behind."""
        self._stopping.set()
        process = self._process
        if process is not None:
            self._provoked.add(process.pid)
            process.send_signal(signal.SIGCONT)
            process.terminate()
            self._end_within(process, STOP_LIMIT)
            self._supervisor.join(30)
        for group in self._groups:
            _kill_group(group)

    def _end_within(self, process: subprocess.Popen[bytes], limit: float) -> None:
        deadline = time.monotonic() + limit
        while process.poll() is None:  # the supervisor's thread waits for it too, so no wait() here
            if time.monotonic() > deadline:
                self.had_to_be_killed += 1
                process.kill()
            time.sleep(0.02)

    def _supervise(self) -> None:
        down_since = time.time()
        while not self._stopping.is_set():
            offset = self.log_path.stat().st_size if self.log_path.exists() else 0
            with self.log_path.open("ab") as log:
                process = subprocess.Popen(
                    list(self.command),
                    env=dict(self.environment),
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._process = process
            self._groups.append(process.pid)
            while process.poll() is None and not self._ready(self._log_from(offset)):
                time.sleep(0.05)
            if process.poll() is None:
                self.outages.append((down_since, time.time()))
                self._is_up.set()
            while process.poll() is None:
                time.sleep(0.02)
            self._is_up.clear()
            down_since = time.time()
            if process.pid not in self._provoked:
                self.unprovoked.append((process.returncode, down_since))
            if self._sweeps:
                _kill_group(process.pid)
            self._stopping.wait(_RESTART_PAUSE)

    def _log_from(self, offset: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")


def _send(victims: list[psutil.Process], number: signal.Signals) -> None:
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(number)


def _kill_group(group: int) -> None:
    """Kill what is left of a session, frozen or not, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
        wait_until(lambda: not _alive(group), timeout=10, what=f"the end of process group {group}")


def _alive(group: int) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
