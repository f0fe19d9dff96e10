"""Children start in order, each after the one before is ready, or none of them stays."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from libs.local_stack import ChildFailedError, ChildNotReadyError, LocalStackError, Supervisor
from tests.local_stack.real_processes import MakeSpec, is_gone, wait_until

REPORT_PID = "import os; pathlib.Path(sys.argv[2] + '/pid').write_text(str(os.getpid()))"


def test_starts_each_child_after_the_one_before_is_ready(tmp_path: Path, make_spec: MakeSpec) -> None:
    lines: list[str] = []
    # "first" makes its file late; "second" would fail if it ran before that.
    first = make_spec("first", setup="import time; time.sleep(0.3)")
    needs_first = f"assert pathlib.Path({str(tmp_path / 'first.up')!r}).exists()"

    with Supervisor([first, make_spec("second", setup=needs_first)], lines.append) as supervisor:
        supervisor.start()
        pids = supervisor.pids()
        assert list(pids) == ["first", "second"]
        assert all(psutil.pid_exists(pid) for pid in pids.values())

    assert [line.split(" after ")[0] for line in lines[:2]] == ["first ready", "second ready"]
    assert all(is_gone(pid) for pid in pids.values())


def test_child_without_readiness_check_is_ready_when_started(make_spec: MakeSpec) -> None:
    with Supervisor([make_spec("plain", ready=None)], print) as supervisor:
        supervisor.start()
        assert list(supervisor.pids()) == ["plain"]


def test_child_that_ends_before_it_is_ready(make_spec: MakeSpec, tmp_path: Path) -> None:
    healthy = make_spec("healthy", setup=REPORT_PID)
    failing = make_spec("failing", code="for n in range(50): print('line', n)\nraise SystemExit(3)")

    with pytest.raises(ChildFailedError) as caught:
        Supervisor([healthy, failing], print).start()

    assert (caught.value.name, caught.value.exit_code) == ("failing", 3)
    assert caught.value.log_tail.splitlines() == [f"line {number}" for number in range(30, 50)]
    assert str(caught.value) == "failing ended during the start, exit code 3: line 49"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_log_tail_leaves_out_what_an_earlier_run_wrote(make_spec: MakeSpec) -> None:
    spec = make_spec("failing", code="raise SystemExit(1)")
    spec.log_path.write_text("from an earlier run\n")

    with pytest.raises(ChildFailedError) as caught:
        Supervisor([spec], print).start()

    assert caught.value.log_tail == ""
    assert spec.log_path.read_text() == "from an earlier run\n"


def test_log_above_ten_megabytes_is_set_aside_at_the_start(make_spec: MakeSpec) -> None:
    spec = make_spec("child", setup="print('new', flush=True)")
    with spec.log_path.open("wb") as log:
        log.truncate(10 * 1024 * 1024 + 1)

    with Supervisor([spec], print) as supervisor:
        supervisor.start()

    assert spec.log_path.read_text() == "new\n"
    assert stat.S_IMODE(spec.log_path.stat().st_mode) == 0o600
    assert spec.log_path.with_name("child.log.1").stat().st_size == 10 * 1024 * 1024 + 1


def test_program_that_does_not_exist(make_spec: MakeSpec) -> None:
    with pytest.raises(ChildFailedError) as caught:
        Supervisor([make_spec("ghost", argv=["/no/such/program"])], print).start()

    assert caught.value.exit_code == 127
    assert str(caught.value).endswith("cannot run /no/such/program: No such file or directory")


def test_child_that_never_gets_ready_is_stopped_again(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("slow", setup=REPORT_PID, ready=lambda: False, ready_timeout=0.5)

    with pytest.raises(ChildNotReadyError, match=r"^slow was not ready after 0\.5 s$"):
        Supervisor([spec], print).start()

    assert is_gone(int((tmp_path / "pid").read_text()))


def test_check_that_raises_means_not_yet(make_spec: MakeSpec) -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError("nobody\nthere")

    spec = make_spec("slow", ready=refuse, ready_timeout=0.3)
    with pytest.raises(ChildNotReadyError) as caught:
        Supervisor([spec], print).start()
    assert str(caught.value) == "slow was not ready after 0.3 s (ConnectionRefusedError: nobody there)"


def test_death_of_an_earlier_child_ends_the_start(make_spec: MakeSpec) -> None:
    supervisor: Supervisor

    def kill_first() -> bool:
        pid = supervisor.pids().get("first")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return False

    supervisor = Supervisor([make_spec("first"), make_spec("second", ready=kill_first)], print)
    with pytest.raises(ChildFailedError, match=r"^first ended during the start, killed by SIGKILL"):
        supervisor.start()


def test_fatal_log_line_is_raised_as_the_error_it_stands_for(make_spec: MakeSpec) -> None:
    class NoUseError(LocalStackError):
        pass

    def fatal(log_tail: str) -> LocalStackError | None:
        return NoUseError("no use") if "hopeless" in log_tail else None

    with pytest.raises(NoUseError):
        Supervisor([make_spec("bad", code="raise SystemExit('hopeless')", fatal=fatal)], print).start()
    with pytest.raises(ChildFailedError):
        Supervisor([make_spec("bad", code="raise SystemExit('unlucky')", fatal=fatal)], print).start()


def test_signal_during_the_start_stops_what_was_started(make_spec: MakeSpec) -> None:
    lines: list[str] = []

    def interrupt() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return False

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    with pytest.raises(KeyboardInterrupt):
        Supervisor([make_spec("first"), make_spec("second", ready=interrupt)], lines.append).start()

    assert lines[1:] == ["second stopped", "first stopped"]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)] == handlers


def test_signal_between_start_and_run_interrupts_the_caller(make_spec: MakeSpec) -> None:
    lines: list[str] = []

    def get_a_signal_after_the_start() -> None:
        with Supervisor([make_spec("child")], lines.append) as supervisor:
            supervisor.start()
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the signal did not interrupt")

    with pytest.raises(KeyboardInterrupt):
        get_a_signal_after_the_start()
    assert lines[1:] == ["child stopped"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_child_has_a_session_of_its_own_and_default_signals(make_spec: MakeSpec) -> None:
    spec = make_spec("child", argv=["/bin/sleep", "60"], ready=None)
    with Supervisor([spec], print) as supervisor:
        supervisor.start()
        pid = supervisor.pids()["child"]
        assert os.getsid(pid) == pid != os.getsid(0)
        wait_until(lambda: psutil.Process(pid).name() == "sleep")
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = int(next(line for line in status if line.startswith("SigIgn")).split()[1], 16)
    # Python ignores these two, and a program that it becomes must not.
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
