"""Two runs never share a data dir, and a dead one does not keep it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from libs.local_stack import DataDirInUseError, DataDirLock
from tests.local_stack.real_processes import Processes

HOLDER = """
import signal, subprocess, sys
from pathlib import Path
from libs.local_stack import DataDirLock
with DataDirLock(Path(sys.argv[1])):
    child = subprocess.Popen(["/bin/sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
    signal.pause()
"""


def start_holder(processes: Processes, data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    """Returns a process that holds the lock, and the number of a child it has started since."""
    holder = processes.start_python(HOLDER, str(data_dir))
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def test_second_holder_is_refused_and_told_who_has_it(processes: Processes, tmp_path: Path) -> None:
    holder, _ = start_holder(processes, tmp_path)
    with pytest.raises(DataDirInUseError) as caught, DataDirLock(tmp_path):
        pytest.fail("two holders")
    assert caught.value.pid == holder.pid
    assert caught.value.data_dir == tmp_path
    assert str(caught.value).startswith(f"{tmp_path} is in use by process {holder.pid}: ")
    assert "\n" not in str(caught.value)


def test_kill_9_frees_the_lock_though_a_child_lives_on(processes: Processes, tmp_path: Path) -> None:
    holder, child = start_holder(processes, tmp_path)
    holder.kill()
    holder.wait(timeout=10)
    os.kill(child, 0)
    with DataDirLock(tmp_path):
        assert (tmp_path / "up.lock").read_text() == str(os.getpid())
    os.kill(child, signal.SIGKILL)


def test_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(DataDirInUseError), DataDirLock(tmp_path):
        pytest.fail("two holders")
    with DataDirLock(tmp_path):
        pass


def test_missing_data_dir_is_made_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "var"
    with DataDirLock(data_dir):
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_holder_that_has_not_written_its_number_yet(tmp_path: Path) -> None:
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "up.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(DataDirInUseError, match="in use by another process") as caught,
            DataDirLock(tmp_path),
        ):
            pytest.fail("two holders")
        holder.kill()
    assert caught.value.pid is None
