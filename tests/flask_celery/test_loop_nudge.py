"""The worker's loop goes round once more when a tick has started something."""

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kombu.asynchronous import Hub

from libs.flask_celery.loop_nudge import LoopNudge


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def nudge(hub: Hub) -> Iterator[LoopNudge]:
    nudge = LoopNudge(SimpleNamespace(event_loop=hub))
    yield nudge
    nudge.close()


def test_what_a_tick_puts_off_is_done_at_once(hub: Hub, nudge: LoopNudge) -> None:
    put_off_at: list[float] = []
    done_at: list[float] = []

    def tick() -> None:
        if not put_off_at:
            put_off_at.append(time.monotonic())
            hub.call_soon(lambda: done_at.append(time.monotonic()))
            nudge()

    hub.on_tick.add(tick)
    silent, other = socket.socketpair()  # a loop that reads nothing does not wait for it
    hub.add_reader(silent.fileno(), lambda: None)
    rounds = hub.create_loop()
    while not done_at:
        next(rounds)

    assert done_at[0] - put_off_at[0] < 0.5  # a round without a nudge waits for a second
    hub.remove_reader(silent.fileno())
    silent.close()
    other.close()


def test_it_works_in_a_loop_that_was_set_up_anew(hub: Hub, nudge: LoopNudge) -> None:
    nudge()
    hub.reset()
    nudge()
    assert len(hub.readers) == 1

    nudge.close()
    assert not hub.readers


def test_without_a_loop_nothing_is_made() -> None:
    nudge = LoopNudge(SimpleNamespace(event_loop=None))
    nudge()
    assert nudge._pair is None
