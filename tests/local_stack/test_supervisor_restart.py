"""A child that dies is started again, later each time."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from libs.local_stack import Backoff, LocalStackError, Supervisor
from tests.local_stack.real_processes import MakeSpec, is_gone, wait_until

QUICK = Backoff(first=0.05, longest=0.2, reset_after=60.0)


def stop_after(lines: list[str], enough: Callable[[list[str]], object]) -> Callable[[str], None]:
    """An `announce` that keeps the lines and sends SIGTERM to this process once `enough(lines)` is true."""

    def announce(line: str) -> None:
        lines.append(line)
        if enough(lines):
            os.kill(os.getpid(), signal.SIGTERM)

    return announce


def is_ready_again(lines: list[str]) -> bool:
    return lines[-1].endswith("ready again")


def deaths(lines: list[str]) -> list[str]:
    return [line for line in lines if " died " in line]


def test_dead_child_is_started_again(make_spec: MakeSpec) -> None:
    lines: list[str] = []
    spec = make_spec("child")
    again = stop_after(lines, is_ready_again)
    with Supervisor([spec], again, QUICK) as supervisor:
        supervisor.start()
        first = supervisor.pids()["child"]
        os.kill(first, signal.SIGKILL)
        supervisor.run_until_stopped()
        second = supervisor.pids()["child"]
        assert second != first
        assert psutil.pid_exists(second)
    assert lines[1] == f"child died (killed by SIGKILL, log: {spec.log_path}), restart in 0.05 s"


def test_only_the_dead_child_is_started_again(make_spec: MakeSpec) -> None:
    lines: list[str] = []
    again = stop_after(lines, is_ready_again)
    with Supervisor([make_spec("one"), make_spec("two")], again, QUICK) as supervisor:
        supervisor.start()
        before = supervisor.pids()
        os.kill(before["two"], signal.SIGKILL)
        supervisor.run_until_stopped()
        assert supervisor.pids()["one"] == before["one"]
        assert supervisor.pids()["two"] != before["two"]


def test_restarts_wait_longer_each_time_up_to_the_longest(make_spec: MakeSpec, tmp_path: Path) -> None:
    lines: list[str] = []
    times: list[float] = []

    def enough(lines: list[str]) -> bool:
        times.append(time.monotonic())
        return len(deaths(lines)) == 5

    # It lives until the start is over, then ends at once, each time with its own code.
    flag = str(tmp_path / "die")
    spec = make_spec("child", setup=f"if pathlib.Path({flag!r}).exists(): sys.exit(7)", ready=lambda: True)
    with Supervisor([spec], stop_after(lines, enough), QUICK) as supervisor:
        supervisor.start()
        Path(flag).touch()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        supervisor.run_until_stopped()

    announced = [float(match.group(1)) for line in lines if (match := re.search(r"restart in ([\d.]+) s", line))]
    assert announced == [0.05, 0.1, 0.2, 0.2, 0.2]
    assert all("exit code 7" in line for line in deaths(lines)[1:])
    died_at = [at for at, line in zip(times, lines, strict=False) if " died " in line]
    waited = [later - earlier for earlier, later in itertools.pairwise(died_at)]
    assert all(wait >= least for wait, least in zip(waited, announced, strict=False))


def test_death_of_another_child_does_not_shorten_the_wait(make_spec: MakeSpec) -> None:
    pids: dict[str, int] = {}

    def announce(line: str) -> None:
        if line.startswith("one died"):
            os.kill(pids["two"], signal.SIGKILL)
        elif line.startswith("two died"):
            os.kill(os.getpid(), signal.SIGTERM)

    slow = Backoff(first=30.0, longest=30.0)
    with Supervisor([make_spec("one"), make_spec("two")], announce, slow) as supervisor:
        supervisor.start()
        pids.update(supervisor.pids())
        os.kill(pids["one"], signal.SIGKILL)
        supervisor.run_until_stopped()
        assert supervisor.pids() == {}


def test_backoff_begins_anew_after_a_while_up(make_spec: MakeSpec) -> None:
    lines: list[str] = []
    enough = stop_after(lines, lambda lines: len(deaths(lines)) == 3)
    steady = Backoff(first=0.05, longest=30.0, reset_after=0.3)
    spec = make_spec("child", code="import time; time.sleep(0.4); raise SystemExit(1)", ready=lambda: True)
    with Supervisor([spec], enough, steady) as supervisor:
        supervisor.start()
        supervisor.run_until_stopped()
    assert all(line.endswith("restart in 0.05 s") for line in deaths(lines))


def test_child_that_is_not_to_be_restarted_stays_down(make_spec: MakeSpec) -> None:
    lines: list[str] = []
    once = make_spec("once", code="raise SystemExit(5)", ready=lambda: True, restart=False)
    other = make_spec("other", code="import time; time.sleep(0.4)", ready=lambda: True)
    enough = stop_after(lines, lambda lines: len([line for line in deaths(lines) if "other" in line]) == 2)
    with Supervisor([once, other], enough, QUICK) as supervisor:
        supervisor.start()
        supervisor.run_until_stopped()
    of_once = [line for line in lines if line.startswith("once")]
    assert of_once[1:] == [f"once died (exit code 5, log: {once.log_path})"]


def test_pointless_restart_ends_the_run(make_spec: MakeSpec) -> None:
    spec = make_spec("child", setup="print('hopeless', flush=True)", fatal=LocalStackError)
    with Supervisor([spec], print, QUICK) as supervisor:
        supervisor.start()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        with pytest.raises(LocalStackError, match="hopeless"):
            supervisor.run_until_stopped()


def test_failing_restart_is_tried_again(make_spec: MakeSpec) -> None:
    lines: list[str] = []
    spec = make_spec("child")

    def announce(line: str) -> None:
        lines.append(line)
        if " died " in line:
            # The log cannot be opened now, so the child cannot be started.
            spec.log_path.unlink()
            spec.log_path.mkdir()
        elif "could not" in line:
            spec.log_path.rmdir()
        elif line.endswith("again"):
            os.kill(os.getpid(), signal.SIGTERM)

    with Supervisor([spec], announce, QUICK) as supervisor:
        supervisor.start()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        supervisor.run_until_stopped()
    assert lines[2] == "child could not be started (Is a directory), restart in 0.1 s"
    assert lines[3] == "child ready again"


def test_terminal_that_is_gone_hinders_nothing(make_spec: MakeSpec) -> None:
    def announce(line: str) -> None:
        if line.endswith("again"):
            os.kill(os.getpid(), signal.SIGTERM)
        raise BrokenPipeError

    with Supervisor([make_spec("child")], announce, QUICK) as supervisor:
        supervisor.start()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        supervisor.run_until_stopped()
        pid = supervisor.pids()["child"]
    assert is_gone(pid)


def test_check_that_raises_does_not_end_the_run(make_spec: MakeSpec) -> None:
    # As the worker's does, which asks over Redis, when both were killed.
    lines: list[str] = []
    asked: list[int] = []

    def ready() -> bool:
        asked.append(1)
        if len(asked) in (2, 3):
            raise ConnectionRefusedError
        return True

    with Supervisor([make_spec("child", ready=ready)], stop_after(lines, is_ready_again), QUICK) as supervisor:
        supervisor.start()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        supervisor.run_until_stopped()
    assert len(asked) == 4


def test_late_child_is_announced_and_left_alone(make_spec: MakeSpec, tmp_path: Path) -> None:
    lines: list[str] = []
    late = stop_after(lines, lambda lines: "not ready" in lines[-1])
    gate = tmp_path / "gate"
    gate.touch()
    spec = make_spec("child", ready=gate.exists, ready_timeout=0.5)
    with Supervisor([spec], late, QUICK) as supervisor:
        supervisor.start()
        gate.unlink()
        os.kill(supervisor.pids()["child"], signal.SIGKILL)
        supervisor.run_until_stopped()
        assert supervisor.pids()
    assert f"child still not ready (log: {spec.log_path})" in lines
    assert len(deaths(lines)) == 1


def test_rest_of_a_dead_childs_group_is_gone_before_the_restart(make_spec: MakeSpec, tmp_path: Path) -> None:
    lines: list[str] = []
    again = stop_after(lines, lambda lines: " died " in lines[-1])
    setup = """
import os
if os.fork() == 0:
    pathlib.Path(sys.argv[2] + "/grandchild").write_text(str(os.getpid()))
    while True: signal.pause()
while not pathlib.Path(sys.argv[2] + "/grandchild").exists(): pass
"""
    with Supervisor([make_spec("parent", setup=setup)], again, QUICK) as supervisor:
        supervisor.start()
        grandchild = int((tmp_path / "grandchild").read_text())
        os.kill(supervisor.pids()["parent"], signal.SIGKILL)
        supervisor.run_until_stopped()
        wait_until(lambda: is_gone(grandchild))
