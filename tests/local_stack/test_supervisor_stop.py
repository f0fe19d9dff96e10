"""Children end in reverse order, and none is left behind, even when the supervisor itself is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from libs.local_stack import Supervisor, exec_child
from tests.local_stack.real_processes import MakeSpec, Processes, is_gone, wait_until


def test_stops_in_reverse_order_one_after_the_other(make_spec: MakeSpec, tmp_path: Path) -> None:
    # Each child writes its line only after a while: out of order or at the same time would show.
    setup = """
import os, time
def end(number, frame):
    journal = os.open(sys.argv[2] + "/journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    name = pathlib.Path(sys.argv[1]).stem
    os.write(journal, f"{name} asked\\n".encode())
    time.sleep(0.2)
    os.write(journal, f"{name} ends\\n".encode())
    sys.exit()
"""
    specs = [
        make_spec("first", setup=setup + "signal.signal(signal.SIGTERM, end)"),
        make_spec("second", setup=setup + "signal.signal(signal.SIGUSR1, end)", stop_signal=signal.SIGUSR1),
        make_spec("third", setup=setup + "signal.signal(signal.SIGTERM, end)"),
    ]
    with Supervisor(specs, print) as supervisor:
        supervisor.start()
    expected = [f"{name} {what}" for name in ("third", "second", "first") for what in ("asked", "ends")]
    assert (tmp_path / "journal").read_text().splitlines() == expected


def test_child_that_ignores_the_stop_signal_is_killed_with_its_group(make_spec: MakeSpec, tmp_path: Path) -> None:
    lines: list[str] = []
    setup = """
import os
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    pathlib.Path(sys.argv[2] + "/grandchild").write_text(str(os.getpid()))
    while True: signal.pause()
while not pathlib.Path(sys.argv[2] + "/grandchild").exists(): pass
"""
    with Supervisor([make_spec("deaf", setup=setup, stop_timeout=0.3)], lines.append) as supervisor:
        supervisor.start()
        pid = supervisor.pids()["deaf"]
        asked_at = time.monotonic()
    assert time.monotonic() - asked_at >= 0.3
    assert lines[1:] == ["deaf did not stop within 0.3 s, killed"]
    assert is_gone(pid)
    wait_until(lambda: is_gone(int((tmp_path / "grandchild").read_text())))


def test_stop_signal_reaches_the_child_and_not_its_group(make_spec: MakeSpec, tmp_path: Path) -> None:
    # The grandchild notes a SIGTERM; the parent gives it time to, then ends and has it killed.
    setup = """
import os, time
if os.fork() == 0:
    def note(number, frame): pathlib.Path(sys.argv[2] + "/reached").touch()
    signal.signal(signal.SIGTERM, note)
    pathlib.Path(sys.argv[2] + "/grandchild").write_text(str(os.getpid()))
    while True: signal.pause()
while not pathlib.Path(sys.argv[2] + "/grandchild").exists(): pass
signal.signal(signal.SIGTERM, lambda number, frame: (time.sleep(0.3), sys.exit()))
"""
    with Supervisor([make_spec("parent", setup=setup)], print) as supervisor:
        supervisor.start()
    wait_until(lambda: is_gone(int((tmp_path / "grandchild").read_text())))
    assert not (tmp_path / "reached").exists()


SUPERVISOR = """
import contextlib, os, signal, sys
from pathlib import Path
from libs.local_stack import ChildSpec, Supervisor
folder = Path(sys.argv[1])
def spec(name, setup):
    code = f"import pathlib, signal, sys\\n{setup}\\npathlib.Path(sys.argv[1]).touch()\\n"
    code += "while True: signal.pause()"
    up = folder / f"{name}.up"
    argv = [sys.executable, "-S", "-c", code, str(up)]
    log = folder / f"{name}.log"
    return ChildSpec(name=name, argv=argv, env=os.environ, ready=up.exists, ready_timeout=20.0,
                     stop_timeout=20.0, log_path=log)
specs = [spec("one", sys.argv[2]), spec("two", "")]
# A signal that comes before run_until_stopped() is a KeyboardInterrupt, one that comes later is not.
say = lambda line: print(line, flush=True)
with contextlib.suppress(KeyboardInterrupt), Supervisor(specs, say) as supervisor:
    supervisor.start()
    print(*supervisor.pids().values(), flush=True)
    supervisor.run_until_stopped()
print("clean", flush=True)
"""


def start_supervisor(processes: Processes, folder: Path, setup: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    """Returns a process that runs a supervisor, and the numbers of its two children."""
    process = processes.start_python(SUPERVISOR, str(folder), setup)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("one ready")
    assert process.stdout.readline().startswith("two ready")
    pids = [int(word) for word in process.stdout.readline().split()]
    processes.groups.extend(pids)
    return process, pids


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_kill_9_of_the_supervisor_leaves_no_child_behind(processes: Processes, tmp_path: Path) -> None:
    process, pids = start_supervisor(processes, tmp_path)
    assert not any(is_gone(pid) for pid in pids)
    process.kill()
    wait_until(lambda: all(is_gone(pid) for pid in pids), 5.0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_child_of_a_supervisor_that_died_meanwhile_does_not_start(tmp_path: Path) -> None:
    # The parent named here is not the one that starts it, as when init has inherited it.
    command = [
        sys.executable,
        "-I",
        "-S",
        exec_child.__file__,
        "1",
        "15",
        "/bin/touch",
        str(tmp_path / "ran"),
    ]
    assert subprocess.run(command, timeout=20, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_stops_all_in_order(processes: Processes, tmp_path: Path, number: signal.Signals) -> None:
    process, pids = start_supervisor(processes, tmp_path)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert output.splitlines() == ["two stopped", "one stopped", "clean"]
    assert process.returncode == 0
    assert all(is_gone(pid) for pid in pids)


def test_second_signal_kills_at_once(processes: Processes, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    deaf = f"signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(asked)!r}).touch())"
    process, pids = start_supervisor(processes, tmp_path, deaf)
    process.send_signal(signal.SIGINT)
    wait_until(asked.exists)  # From here on the supervisor would wait for 20 s.
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=15)
    assert time.monotonic() - before < 10
    assert output.splitlines() == ["two stopped", "clean"]
    assert all(is_gone(pid) for pid in pids)


def test_idle_supervisor_wakes_up_for_nothing(processes: Processes, tmp_path: Path) -> None:
    process, _ = start_supervisor(processes, tmp_path)
    supervisor = psutil.Process(process.pid)

    def slept_through() -> bool:
        before = supervisor.num_ctx_switches()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        return bool(supervisor.num_ctx_switches() == before)

    wait_until(slept_through)
