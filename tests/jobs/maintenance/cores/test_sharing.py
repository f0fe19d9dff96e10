"""Pieces of work that forks share: the answer is that of one process, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from app.jobs.maintenance.services.cores import shared, usable_processes
from tests.conftest import wait_until
from tests.jobs.maintenance.forks import forks_of_this_process

THIS = os.getpid()


def no_child_is_left() -> bool:
    return forks_of_this_process() == []


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("pieces", [0, 1, 2, 256])
def test_the_answer_is_in_order(processes: int, pieces: int) -> None:
    assert shared(lambda piece: piece * "x", pieces, processes=processes) == [piece * "x" for piece in range(pieces)]
    assert no_child_is_left()


def test_another_process_does_its_part() -> None:
    told, telling = os.pipe()

    def work(piece: int) -> int:
        if os.getpid() == THIS:
            assert os.read(told, 1) == b"!"  # not before the fork has done one
        else:
            os.write(telling, b"!" * 10)
        return os.getpid()

    try:
        who = shared(work, 10, processes=2)
    finally:
        os.close(told)
        os.close(telling)

    assert len(set(who)) == 2
    assert THIS in who


@pytest.mark.parametrize("how", ["killed", "an error", "killed as it brings something"])
def test_what_a_fork_does_not_bring_is_done_here(how: str) -> None:
    def work(piece: int) -> bytes:
        if os.getpid() != THIS and piece > 3:
            if how == "an error":
                raise MemoryError
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            return Unbringable()
        return bytes([piece]) * 100_000

    assert shared(work, 20, processes=3) == [bytes([piece]) * 100_000 for piece in range(20)]
    assert no_child_is_left()


class Unbringable(bytes):
    def __reduce__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def test_an_error_of_the_work_is_raised_here() -> None:
    def work(piece: int) -> int:
        return 10 // (piece - 7)

    with pytest.raises(ZeroDivisionError):
        shared(work, 20, processes=2)
    assert no_child_is_left()


def test_who_is_stopped_leaves_no_fork_at_work() -> None:
    def on_piece(piece: int) -> None:
        raise TimeoutError

    def work(piece: int) -> None:
        signal.pause()

    with pytest.raises(TimeoutError):
        shared(work, 20, processes=3, on_piece=on_piece)
    assert no_child_is_left()


def test_a_fork_ends_with_the_piece_at_hand_when_its_original_is_killed() -> None:
    program = """
import os, time
from app.jobs.maintenance.services.cores import shared
original = os.getpid()
def work(piece):
    if os.getpid() == original:
        time.sleep(600)
    print(os.getpid(), flush=True)
    time.sleep(0.2)
shared(work, 250, processes=2)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as original:
        assert original.stdout is not None
        fork = psutil.Process(int(original.stdout.readline()))
        original.kill()

        wait_until(lambda: not fork.is_running(), timeout=20, what="the end of the fork")


def test_no_process_is_used_beside_other_threads() -> None:
    ending = threading.Event()
    other = threading.Thread(target=ending.wait)
    alone = usable_processes() if threading.active_count() == 1 else None
    other.start()
    try:
        assert usable_processes() == 1
    finally:
        ending.set()
        other.join()
    if alone is not None:
        assert alone == min(len(os.sched_getaffinity(0)), 4)
