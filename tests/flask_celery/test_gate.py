"""A crowd at Redis stands in line: nobody is told that it is away when it is well, nor waits long when it is not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config import Config
from libs.flask_celery import UNAVAILABLE, FlaskCelery, JobState, gate, lean_reads
from libs.flask_celery.gate import Gate
from libs.flask_celery.gated_client import GatedRedis
from libs.flask_celery.lean_reads import LeanReads
from tests.conftest import RedisServer, built_app

#: More than redis-py makes connections in one pool (100), and than kombu does (``broker_pool_limit``).
CROWD = 200


class Most:
    """How many are in it at a time, at the most."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@pytest.fixture
def crowd() -> Iterator[Callable[[Callable[[], object]], list[BaseException | None]]]:
    """``crowd(call)``: what ``CROWD`` calls at once raise."""
    with ThreadPoolExecutor(CROWD) as pool:
        together = threading.Barrier(CROWD)

        def one(call: Callable[[], object]) -> object:
            together.wait(60)
            return call()

        yield lambda call: [future.exception() for future in [pool.submit(one, call) for _ in range(CROWD)]]


def slowed(call: Callable[..., object], most: Most, seconds: float = 0.02) -> Callable[..., object]:
    """The same, but slow enough for a crowd to meet at it."""

    def slow(*args: object, **kwargs: object) -> object:
        with most:
            time.sleep(seconds)
            return call(*args, **kwargs)

    return slow


def test_no_more_than_there_are_places(crowd: Callable[..., list[BaseException | None]]) -> None:
    places, most = Gate(7), Most()

    def call() -> None:
        with places.place(), most:
            time.sleep(0.001)

    assert set(crowd(call)) == {None}
    assert most.most == 7


def test_those_in_line_do_not_wait_for_one_time_out_after_another(
    crowd: Callable[..., list[BaseException | None]],
) -> None:
    places = Gate()

    def call() -> None:
        with places.place():
            time.sleep(0.4)
            raise RedisTimeoutError

    started = time.monotonic()
    outcomes = crowd(call)

    assert all(isinstance(outcome, RedisError) for outcome in outcomes)
    assert time.monotonic() - started < 2  # in turn it would be 0.4 s for each 32
    with places.place():
        pass  # who comes now may try


def test_one_that_fails_does_not_speak_for_the_server(crowd: Callable[..., list[BaseException | None]]) -> None:
    places, turns = Gate(4), iter(range(CROWD))

    def call() -> None:
        with places.place():
            time.sleep(0.001)
            if next(turns) % 5 == 0:
                raise RedisTimeoutError

    outcomes = crowd(call)

    assert len([outcome for outcome in outcomes if outcome is not None]) == CROWD / 5


def test_other_errors_are_no_sign_of_its_absence() -> None:
    places = Gate()
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), places.place():
            raise ZeroDivisionError
    assert places._failures == 0


def test_nobody_stands_in_line_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LONGEST_LINE", 0.05)
    places = Gate(1)
    with places.place(), pytest.raises(RedisConnectionError), places.place():
        pytest.fail("there is one place")


def test_a_crowd_reads_from_a_few_connections(
    celery_app: FlaskCelery,
    crowd: Callable[..., list[BaseException | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id, most, most_lean = celery_app.tasks["maintenance.adds"].delay(1, 2).id, Most(), Most()
    backend = celery_app.backend
    monkeypatch.setattr(GatedRedis, "parse_response", slowed(GatedRedis.parse_response, most))
    monkeypatch.setattr(LeanReads, "_ask", slowed(LeanReads._ask, most_lean))

    assert set(crowd(lambda: backend.records.get(task_id))) == {None}
    assert (most_lean.most, most.most) == (lean_reads.AT_ONCE, 0)
    assert set(crowd(lambda: backend.client.get(backend.keys.meta(task_id)))) == {None}
    assert most.most == gate.AT_ONCE
    assert set(crowd(lambda: backend.records.get_many([task_id, "unknown"]))) == {None}
    assert (most_lean.most, most.most) == (lean_reads.AT_ONCE, gate.AT_ONCE)
    pool = backend.client.connection_pool
    assert len(pool._available_connections) + len(pool._in_use_connections) <= gate.AT_ONCE + lean_reads.AT_ONCE


def test_a_crowd_submits_through_a_few_connections(
    celery_app: FlaskCelery, crowd: Callable[..., list[BaseException | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when each takes its time: together they take longer than ``broker_pool_acquire_timeout``."""
    most = Most()
    monkeypatch.setattr(celery_app.amqp, "send_task_message", slowed(celery_app.amqp.send_task_message, most, 0.3))

    assert set(crowd(lambda: celery_app.tasks["maintenance.adds"].delay(1, 2))) == {None}
    assert most.most == gate.AT_ONCE


def test_when_redis_is_silent_a_crowd_is_told_in_time(
    celery_app: FlaskCelery,
    redis_server: RedisServer,
    redis_url: str,
    crowd: Callable[..., list[BaseException | None]],
) -> None:
    records, adds = celery_app.backend.records, celery_app.tasks["maintenance.adds"]
    task_id = adds.delay(1, 2).id
    assert records.get(task_id).state is JobState.PENDING
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        for call in (lambda: records.get(task_id), lambda: adds.delay(1, 2)):
            started = time.monotonic()
            outcomes = crowd(call)
            assert all(isinstance(outcome, UNAVAILABLE) for outcome in outcomes), outcomes
            assert time.monotonic() - started < 3  # in turn it would be 0.4 s for each 32
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)


def test_a_worker_has_no_gate(config: Config) -> None:
    """It forks, and it waits for Redis by other means."""
    # kombu's pools are the process's: one that is in use cannot be made smaller than the API's of other tests.
    with built_app(replace(config, role="worker", celery={"CELERY_BROKER_POOL_LIMIT": "64"})) as app:
        celery_app = app.extensions["celery"]
        assert not isinstance(celery_app.backend.client, GatedRedis)
        with celery_app.producer_or_acquire():
            assert "publish_gate" not in vars(celery_app)
