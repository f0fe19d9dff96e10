"""Records are read for many at a time, and nobody is given what was so before they asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from libs.flask_celery.lean_reads import AT_ONCE, MOST_KEYS, LeanReads
from tests.conftest import RedisServer, wait_until


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis[bytes]]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def reads(redis: Redis[bytes]) -> LeanReads:
    return LeanReads(redis.connection_pool)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(50) as pool:
        yield pool


class Held:
    """Reads stand still, each before it is sent, until they are let go."""

    def __init__(self, reads: LeanReads, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[str]] = []
        self.go = threading.Event()
        ask = reads._ask

        def held(keys: list[str]) -> Any:
            self.asked.append(keys)
            assert self.go.wait(60)
            return ask(keys)

        monkeypatch.setattr(reads, "_ask", held)


def start(background: ThreadPoolExecutor, call: Callable[[], Any], times: int) -> list[Future[Any]]:
    return [background.submit(call) for _ in range(times)]


def test_what_the_keys_hold_in_the_order_asked(redis: Redis[bytes], reads: LeanReads) -> None:
    redis.mset({"a": "1", "b": "2"})
    redis.lpush("list", "x")

    assert reads.get(["b", "none", "a", "b", "list"]) == [b"2", None, b"1", b"2", None]


def test_who_comes_meanwhile_shares_one_read_of_each_key(
    redis: Redis[bytes], reads: LeanReads, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.mset({"a": "1", "b": "2"})
    held = Held(reads, monkeypatch)
    first = []
    for number in range(AT_ONCE):
        first += start(background, lambda: reads.get(["a"]), 1)
        wait_until(lambda number=number: len(held.asked) == number + 1)
    others = start(background, lambda: reads.get(["a"]), 20) + start(background, lambda: reads.get(["b", "a"]), 20)
    wait_until(lambda: reads._gathering is not None and set(reads._gathering.keys) == {"a", "b"})
    wait_until(background._work_queue.empty)
    held.go.set()

    assert [future.result(60) for future in first + others[:20]] == [[b"1"]] * (AT_ONCE + 20)
    assert [future.result(60) for future in others[20:]] == [[b"2", b"1"]] * 20
    assert len(held.asked) < AT_ONCE + 40


def test_nobody_joins_a_read_that_is_under_way(
    redis: Redis[bytes], reads: LeanReads, background: ThreadPoolExecutor
) -> None:
    """What it is answered may have been so before they asked."""
    for number in range(300):
        redis.set("a", number)
        before = start(background, lambda: reads.get(["a"]), 3)
        redis.set("a", number + 1000)
        assert reads.get(["a"]) == [b"%d" % (number + 1000)]
        assert {future.result(60)[0] for future in before} <= {b"%d" % number, b"%d" % (number + 1000)}


def test_a_read_is_not_made_longer_than_others_want_to_wait(
    redis: Redis[bytes], reads: LeanReads, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(reads, monkeypatch)
    futures = [background.submit(reads.get, [f"{reader}-{key}" for key in range(50)]) for reader in range(30)]
    wait_until(lambda: background._work_queue.empty() and len(held.asked) == AT_ONCE)
    held.go.set()

    assert [future.result(60) for future in futures] == [[None] * 50] * 30
    assert max(map(len, held.asked)) < MOST_KEYS + 50


def test_all_who_joined_are_told_that_redis_is_away(
    redis: Redis[bytes], reads: LeanReads, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set("a", "1")
    monkeypatch.setattr(reads, "_ask", _away)
    held = Held(reads, monkeypatch)
    futures = start(background, lambda: reads.get(["a"]), 50)
    wait_until(lambda: background._work_queue.empty() and len(held.asked) == AT_ONCE)
    held.go.set()
    outcomes = [future.exception(60) for future in futures]

    assert {type(outcome) for outcome in outcomes} == {RedisConnectionError}
    assert len({id(outcome) for outcome in outcomes}) == 50, "each has one of its own, to be raised with"
    monkeypatch.undo()
    assert reads.get(["a"]) == [b"1"]


def _away(_: object) -> Any:
    raise RedisConnectionError("away")


def test_who_is_ended_while_asking_leaves_nobody_waiting(
    redis: Redis[bytes], reads: LeanReads, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(reads, monkeypatch)
    first = start(background, lambda: reads.get(["a"]), AT_ONCE)
    wait_until(lambda: len(held.asked) == AT_ONCE)
    leader = background.submit(reads.get, ["a"])
    wait_until(lambda: reads._gathering is not None)
    joined = background.submit(reads.get, ["a"])
    wait_until(lambda: reads._gathering is not None and reads._gathering.is_over is not None)

    monkeypatch.setattr(reads, "_ask", _ended)
    held.go.set()

    assert isinstance(leader.exception(60), SystemExit)
    assert isinstance(joined.exception(60), RedisConnectionError)
    assert [future.result(60) for future in first] == [[None]] * AT_ONCE


def _ended(_: object) -> Any:
    raise SystemExit


def test_a_redis_that_has_restarted_is_simply_asked_again(
    redis: Redis[bytes], redis_server: RedisServer, reads: LeanReads
) -> None:
    redis.set("a", "1")
    assert reads.get(["a"]) == [b"1"]

    redis_server.stop()
    with pytest.raises(RedisConnectionError):
        reads.get(["a"])
    redis_server.start()

    assert reads.get(["a"]) == [b"1"]
    redis.client_kill_filter(_type="normal", skipme=True)
    assert reads.get(["a"]) == [b"1"], "nor is a connection that was cut while nobody looked"


def test_connections_are_kept_and_an_error_gives_them_back(redis: Redis[bytes], reads: LeanReads) -> None:
    for _ in range(5):
        reads.get(["a"])
    assert (len(reads._idle), len(redis.connection_pool._in_use_connections)) == (1, 1)

    redis.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"], keys=["~*"], commands=["-mget"])
    try:
        with pytest.raises(ResponseError):
            reads.get(["a"])
    finally:
        redis.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"])
    assert (len(reads._idle), len(redis.connection_pool._in_use_connections)) == (0, 0)


def test_a_connection_that_is_not_the_pools_any_more_is_not_used(
    redis: Redis[bytes], reads: LeanReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As to a server that Sentinel has replaced, or the parent's in a process that was forked."""
    reads.get(["a"])
    (old,) = reads._idle
    monkeypatch.setattr(redis.connection_pool, "owns_connection", lambda connection: connection is not old)

    reads.get(["a"])

    assert old not in reads._idle
    assert len(reads._idle) == 1
