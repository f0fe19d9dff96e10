"""Another time of day, for tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Protocol

import pytest


class MoveClock(Protocol):
    """The fixture ``moved_clock``."""

    def __call__(self, to: datetime | timedelta) -> None:
        """Move the clock to an aware time, or by so much; from there it goes on. Raises: ValueError: no zone."""


@pytest.fixture
def moved_clock() -> Iterator[MoveClock]:
    """``moved_clock(timedelta(hours=25))``, ``moved_clock(datetime(2026, 3, 29, 1, tzinfo=UTC))``.

    It is the clock of this process alone, of whatever in it asks what time it is, until the test ends: jobs that are
    called directly, services, requests of the test client. Workers and Redis keep theirs, and so does
    ``time.monotonic()``.
    """
    import time_machine  # noqa: PLC0415 - which only tests that move the clock need

    with ExitStack() as stack:
        moved: list[time_machine.Traveller] = []

        def move(to: datetime | timedelta) -> None:
            if isinstance(to, datetime) and to.utcoffset() is None:
                raise ValueError("moved_clock wants an aware time: datetime(2026, 3, 29, 1, tzinfo=UTC).")
            if moved:
                moved[0].shift(to) if isinstance(to, timedelta) else moved[0].move_to(to)
            else:
                start = to if isinstance(to, datetime) else datetime.now().astimezone() + to
                moved.append(stack.enter_context(time_machine.travel(start, tick=True)))

        yield move
