"""What a job says is passed on at once, then not more often than it may be, and the last of it always."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from libs.flask_celery.history import outlet as outlet_module
from libs.flask_celery.history.outlet import Outlet
from tests.conftest import wait_until


class Said:
    """Counts what is passed on."""

    def __init__(self) -> None:
        self.value = 0
        self.passed_on: list[tuple[float, int]] = []
        self.is_away = False

    def pass_on(self) -> bool:
        if self.is_away:
            return False
        value = self.value
        time.sleep(0.01)  # as a call over a network, meanwhile others go on
        self.passed_on.append((time.monotonic(), value))
        return True


def test_a_tight_loop_is_passed_on_at_its_rate_and_its_last_word_without_another_call() -> None:
    said = Said()
    outlet = Outlet(10, said.pass_on)
    began = time.monotonic()

    while time.monotonic() - began < 3:
        said.value += 1
        outlet.offer()
    calls = said.value

    wait_until(lambda: said.passed_on[-1][1] == calls, what="the last value")
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(said.passed_on)]
    assert min(gaps) > 0.09
    assert len(gaps) > 10
    print(f"\n{calls:,} offers in 3 s were passed on {len(said.passed_on)} times")


def test_a_flush_passes_on_at_once_and_nothing_comes_after_it() -> None:
    said = Said()
    outlet = Outlet(10, said.pass_on)
    outlet.offer()
    said.value = 2
    outlet.offer()

    outlet.flush()

    assert [value for _, value in said.passed_on] == [0, 2]
    time.sleep(0.3)  # the timer's time passes
    assert len(said.passed_on) == 2
    assert not [thread for thread in threading.enumerate() if thread.name == "job-outlet"]


def test_what_could_not_be_passed_on_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    said.is_away = True
    monkeypatch.setattr(outlet_module, "_PAUSE", 0.1)
    Outlet(10, said.pass_on).offer()
    assert said.passed_on == []

    said.is_away = False

    wait_until(lambda: said.passed_on, what="another try")


def test_it_is_never_passed_on_twice_at_a_time() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def pass_on() -> bool:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return True

    outlet = Outlet(1_000, pass_on)

    def offer() -> None:
        for _ in range(50):
            outlet.offer()
            time.sleep(0.001)

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outlet.flush()

    assert most == 1
