"""Counting against limits that processes share: exact, in few round trips, and without Redis too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

import pytest
from flask import Flask
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.rate_limits import Allowances, LimitReachedError, RateLimit, caller_of
from app.rate_limits import allowances as counting
from libs.flask_celery import WindowCounter
from tests.conftest import RedisServer, wait_until

HOUR = 3600


@pytest.fixture
def processes(app: Flask) -> Iterator[list[Allowances]]:
    """What three API processes would have."""
    with ExitStack() as stack:
        found = [Allowances(lambda: WindowCounter(app.extensions["celery"].backend)) for _ in range(3)]
        for allowances in found:
            stack.callback(allowances.close)
        yield found


def accepted(allowances: Allowances, limit: RateLimit, times: int, caller: str = "ann") -> int:
    count = 0
    for _ in range(times):
        try:
            allowances.spend(limit, caller)
        except LimitReachedError:
            continue
        count += 1
    return count


def trips(redis: RedisServer) -> int:
    with Redis.from_url(redis.url, decode_responses=True) as client:
        return sum(
            client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha")
        )


def test_a_small_limit_is_exact_over_all_processes(processes: list[Allowances]) -> None:
    limit = RateLimit("key", 7, HOUR)

    counts = [accepted(processes[n % 3], limit, 1) for n in range(30)]

    assert counts == [1] * 7 + [0] * 23
    assert accepted(processes[0], limit, 1, caller="bob") == 1


def test_a_large_limit_is_never_exceeded_and_costs_few_round_trips(
    processes: list[Allowances], redis_server: RedisServer
) -> None:
    limit = RateLimit("key", 3000, HOUR)
    before = trips(redis_server)

    with ThreadPoolExecutor(3) as pool:
        # Each goes on until it is refused, and so has none left that it has taken and not used.
        counts = list(pool.map(lambda allowances: accepted(allowances, limit, 5000), processes))

    assert sum(counts) == 3000
    assert trips(redis_server) - before < 3 * (3000 / 46 / 3 + 15)


def test_who_has_reached_a_limit_is_refused_without_asking_redis(
    processes: list[Allowances], redis_server: RedisServer
) -> None:
    limit = RateLimit("key", 5, HOUR)
    accepted(processes[0], limit, 6)
    before = trips(redis_server)

    with pytest.raises(LimitReachedError) as reached:
        processes[0].spend(limit, "ann")
    assert accepted(processes[0], limit, 100) == 0

    assert trips(redis_server) == before
    assert (reached.value.standing.remaining, reached.value.standing.limit) == (0, limit)
    assert HOUR - 60 < reached.value.standing.seconds <= HOUR


def test_what_is_left_is_told(processes: list[Allowances]) -> None:
    limit = RateLimit("key", 300, HOUR)

    told = [processes[0].spend(limit, "ann").remaining for _ in range(100)]

    assert told == list(range(299, 199, -1))


def test_what_is_given_back_does_not_count(processes: list[Allowances]) -> None:
    limit = RateLimit("address", 2, HOUR)

    for _ in range(10):
        processes[0].spend(limit, "ann")
        processes[0].give_back(limit, "ann")

    assert accepted(processes[0], limit, 5) == 2


def test_the_next_window_begins_anew(processes: list[Allowances]) -> None:
    limit = RateLimit("key", 2, 1)
    assert accepted(processes[0], limit, 5) == 2

    wait_until(lambda: accepted(processes[0], limit, 1), timeout=10, what="the next window")

    assert accepted(processes[0], limit, 5) == 1


@pytest.mark.parametrize("frozen", [True, False])
def test_without_redis_each_process_counts_for_itself_and_nobody_waits(
    frozen: bool, processes: list[Allowances], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the assertions on a busy machine.
    monkeypatch.setattr(counting, "PAUSE", 30.0)
    limit = RateLimit("key", 500, HOUR)
    accepted(processes[0], limit, 2)
    assert redis_server.process is not None
    if frozen:
        os.kill(redis_server.process.pid, signal.SIGSTOP)
    else:
        redis_server.stop()

    try:
        started = time.monotonic()
        counts = [accepted(allowances, limit, 1000) for allowances in processes]
        took = time.monotonic() - started
    finally:
        if frozen:
            os.kill(redis_server.process.pid, signal.SIGCONT)
        else:
            redis_server.start()

    # The first had made two of its requests by then. Each would ask some seventy times, and waits for one answer.
    assert counts == [498, 500, 500]
    assert took < 2.0, took


def test_redis_counts_again_when_it_is_back(processes: list[Allowances], redis_server: RedisServer) -> None:
    limit = RateLimit("key", 50, HOUR)
    redis_server.stop()
    assert accepted(processes[0], limit, 1) == 1
    redis_server.start()

    wait_until(lambda: accepted(processes[0], limit, 1) and trips(redis_server) > 0, timeout=10, what="a round trip")


def test_one_request_finds_out_whether_redis_is_back_and_the_others_do_not_wait(app: Flask) -> None:
    asked: list[str] = []
    allowances: Allowances

    class Away:
        """While it is waited for, others come."""

        def add(self, name: str, *_: object) -> tuple[int, float]:
            asked.append(name)
            if len(asked) == 2:
                allowances.spend(limit, "bob")
            raise RedisConnectionError

        def close(self) -> None:
            pass

    allowances = Allowances(lambda: cast(WindowCounter, Away()))
    limit = RateLimit("key", 5, HOUR)
    allowances.spend(limit, "ann")
    allowances._resume_at = time.monotonic() - 1  # the pause is over

    allowances.spend(limit, "ann")

    assert asked == ["key-ann", "key-ann"]


def test_the_memory_of_callers_is_bounded(processes: list[Allowances], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST_REMEMBERED", 10)
    limit = RateLimit("address", 1, HOUR)

    for number in range(35):
        assert accepted(processes[0], limit, 1, caller=f"caller-{number}") == 1
        assert len(processes[0]._shares) <= 10

    # Whom it has forgotten, Redis has not.
    assert accepted(processes[0], limit, 1, caller="caller-0") == 0


def test_counters_end_with_their_windows(processes: list[Allowances], redis_url: str) -> None:
    processes[0].spend(RateLimit("key", 5, 60), "ann")

    with Redis.from_url(redis_url, db=1) as client:
        (name,) = client.keys("*")
        assert name == b"taskgate-count-key-ann"
        assert 50_000 < client.pttl(name) <= 60_000


def test_deployments_count_apart(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], redis_url: str
) -> None:
    from config import load_config
    from tests.conftest import built_app

    monkeypatch.setenv("DEPLOYMENT", "acme")
    with built_app(load_config()) as app:
        counter = WindowCounter(app.extensions["celery"].backend)
        counter.add("key-ann", 1, 60)
        counter.close()

    with Redis.from_url(redis_url, db=1) as client:
        assert client.keys("*count*") == [b"acme:taskgate-count-key-ann"]


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", "unknown"),
        (None, "unknown"),
        ("a" * 5000, "unknown"),
        ("192.0.2.7, 192.0.2.8", "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str | None, caller: str) -> None:
    assert caller_of(address) == caller
