"""Items made by a fork while they are used: as if they were made here."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import psutil
import pytest

from app.jobs.maintenance.services.cores import ahead
from app.jobs.maintenance.services.cores.ahead import ForkLostError
from tests.conftest import wait_until
from tests.jobs.maintenance.forks import forks_of_this_process


@pytest.mark.parametrize("processes", [1, 2])
def test_the_items_come_in_order(processes: int) -> None:
    assert list(ahead(("x" * size for size in range(1_000)), processes=processes)) == ["x" * n for n in range(1_000)]
    assert forks_of_this_process() == []


def test_another_process_makes_them() -> None:
    assert next(ahead((os.getpid() for _ in range(1)), processes=2)) != os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_comes_in_its_turn(processes: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError(28, "No space left on device")

    coming = ahead(items(), processes=processes)

    assert next(coming) == 1
    with pytest.raises(OSError, match="No space left") as raised:
        next(coming)
    assert raised.value.errno == 28


def test_a_killed_fork_is_told_and_not_taken_for_the_end() -> None:
    def items() -> Iterator[int]:
        yield 1
        os.kill(os.getpid(), signal.SIGKILL)

    coming = ahead(items(), processes=2)

    assert next(coming) == 1
    with pytest.raises(ForkLostError):
        next(coming)


def test_no_more_is_made_than_a_pipe_holds() -> None:
    made = mmap.mmap(-1, 1)

    def items() -> Iterator[bytes]:
        for number in count(1):
            made[0] = number
            yield bytes(1 << 20)

    with closing(ahead(items(), processes=2)) as coming:
        next(coming)
        [fork] = forks_of_this_process()
        wait_until(lambda: made[0] == 2 and fork.status() == psutil.STATUS_SLEEPING, what="the fork to wait")
        assert made[0] == 2

    assert not fork.is_running()
    assert forks_of_this_process() == []
