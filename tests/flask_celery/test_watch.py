"""Waiting for jobs: one subscription for all who wait, and nobody misses a change."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from config import Config
from libs.flask_celery import FlaskCelery, WatchHub
from libs.flask_celery import watch as watch_module
from libs.flask_celery.subscription import Subscription
from tests.conftest import RedisServer, built_app, wait_until

#: Seconds. Longer than anything here takes, so that it is the wake-up that ends a wait.
LONG = 30.0


@pytest.fixture
def hub(celery_app: FlaskCelery) -> Iterator[WatchHub]:
    hub = WatchHub(celery_app, limit=1_000)
    yield hub
    hub.close()


def store(celery_app: FlaskCelery, task_id: str, state: str = "SUCCESS") -> None:
    celery_app.backend.store_result(task_id, 3, state)


def listening(redis_url: str) -> tuple[int, list[bytes]]:
    """How many connections subscribe, and to which channels."""
    with Redis.from_url(redis_url) as client:
        subscribed = [entry for entry in client.client_list() if int(entry["sub"]) > 0]
        return len(subscribed), sorted(client.pubsub_channels("*"))


def the_listener() -> threading.Thread:
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "job-watch")
    return thread


@pytest.mark.parametrize("state", ["STARTED", "PROGRESS", "RETRY", "SUCCESS", "FAILURE", "REVOKED"])
def test_every_state_that_is_stored_wakes(celery_app: FlaskCelery, hub: WatchHub, state: str) -> None:
    task_id = str(uuid4())
    result = (
        ValueError("x") if state in ("FAILURE", "REVOKED", "RETRY") else {"current": 1, "total": 2, "message": ""}
    )
    with hub.watch([task_id]) as watch:
        assert watch is not None
        celery_app.backend.store_result(task_id, result, state)

        assert watch.wait(LONG)


def test_a_cancelled_job_wakes(celery_app: FlaskCelery, hub: WatchHub) -> None:
    task_id = celery_app.tasks["maintenance.adds"].delay(1, 2).id
    with hub.watch([task_id]) as watch:
        assert watch is not None
        celery_app.backend.records.cancel(task_id)

        assert watch.wait(LONG)


def test_any_of_many_jobs_wakes_and_others_do_not(celery_app: FlaskCelery, hub: WatchHub) -> None:
    ids = [str(uuid4()) for _ in range(3)]
    with hub.watch(ids) as watch, hub.watch([str(uuid4())]) as other:
        assert watch is not None
        assert other is not None
        store(celery_app, ids[2])

        assert watch.wait(LONG)
        assert not other.wait(0.2)


def test_a_hundred_who_wait_share_one_connection_and_leave_nothing_behind(
    celery_app: FlaskCelery, hub: WatchHub, redis_url: str
) -> None:
    ids = [str(uuid4()) for _ in range(10)]
    inside, done = threading.Barrier(101), threading.Barrier(101)

    def wait(number: int) -> bool:
        with hub.watch([ids[number % 10]]) as watch:
            assert watch is not None
            inside.wait(LONG)
            woken = watch.wait(LONG)
        done.wait(LONG)
        return woken

    with ThreadPoolExecutor(100) as pool:
        waits = [pool.submit(wait, number) for number in range(100)]
        inside.wait(LONG)
        assert listening(redis_url) == (1, sorted(celery_app.backend.keys.meta(task_id).encode() for task_id in ids))
        assert len(hub) == 100
        for task_id in ids:
            store(celery_app, task_id)
        done.wait(LONG)
        assert all(one.result() for one in waits)

    assert len(hub) == 0
    assert (hub._waiters._by_channel, hub._waiters._watches) == ({}, set())
    with hub.watch(["another"]):
        other = celery_app.backend.keys.meta("another").encode()
        wait_until(lambda: listening(redis_url) == (1, [other]), timeout=5, what="unsubscribing")
    wait_until(lambda: listening(redis_url) == (0, []), what="the end of the connection")


def test_who_is_one_too_many_is_told(celery_app: FlaskCelery) -> None:
    hub = WatchHub(celery_app, limit=1)
    with hub.watch(["a"]) as first, hub.watch(["b"]) as second:
        assert (first is None, second is None) == (False, True)
    with hub.watch(["b"]) as third:
        assert third is not None
    hub.close()


def test_nothing_falls_between_the_subscription_and_the_first_read(celery_app: FlaskCelery, hub: WatchHub) -> None:
    """Each job is finished at some moment around the beginning of its watch; a wake-up or the read shows it."""
    records = celery_app.backend.records

    def finish(task_id: str, after: float) -> None:
        time.sleep(after)
        store(celery_app, task_id)

    with ThreadPoolExecutor(1) as other:
        for round_ in range(300):
            task_id = celery_app.tasks["maintenance.adds"].delay(1, 2).id
            end = other.submit(finish, task_id, round_ % 30 / 10_000)
            with hub.watch([task_id]) as watch:
                assert watch is not None
                while not records.get(task_id).state.ready:
                    assert watch.wait(LONG), f"round {round_}: nobody woke it"
            end.result()


def test_a_channel_left_and_taken_again_is_heard(celery_app: FlaskCelery, hub: WatchHub) -> None:
    task_id = celery_app.tasks["maintenance.adds"].delay(1, 2).id
    for _ in range(200):
        with hub.watch([task_id]) as watch:
            assert watch is not None
    with hub.watch([task_id]) as watch:
        assert watch is not None
        store(celery_app, task_id)
        while not celery_app.backend.records.get(task_id).state.ready:
            assert watch.wait(LONG)


def cut(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.client_kill_filter(_type="pubsub")


def test_who_waits_while_the_connection_is_cut_reads_again(
    celery_app: FlaskCelery, hub: WatchHub, redis_url: str
) -> None:
    task_id = celery_app.tasks["maintenance.adds"].delay(1, 2).id
    with hub.watch([task_id]) as watch:
        assert watch is not None
        with Redis.from_url(redis_url) as client:
            # As one step, so that the job ends when nobody listens.
            pipe = client.pipeline()
            pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            pipe.execute()
        assert watch.wait(LONG)
        store(celery_app, task_id)
        while not celery_app.backend.records.get(task_id).state.ready:
            assert watch.wait(LONG)


@pytest.mark.parametrize("take_away", ["stop", "freeze"])
def test_when_redis_goes_away_and_stays_away_who_waits_is_told(
    celery_app: FlaskCelery, hub: WatchHub, redis_server: RedisServer, take_away: str
) -> None:
    with hub.watch(["a"]) as watch:
        assert watch is not None
        assert redis_server.process is not None
        redis_server.stop() if take_away == "stop" else os.kill(redis_server.process.pid, signal.SIGSTOP)
        started = time.monotonic()
        try:
            with pytest.raises(RedisConnectionError):
                assert watch.wait(LONG)
            assert time.monotonic() - started < (2 if take_away == "stop" else 8)
            with pytest.raises(RedisError), hub.watch(["b"]):
                pass
        finally:
            redis_server.start() if take_away == "stop" else os.kill(redis_server.process.pid, signal.SIGCONT)
    wait_until(lambda: can_watch(hub), what="the hub")


def can_watch(hub: WatchHub) -> bool:
    try:
        with hub.watch(["c"]) as watch:
            return watch is not None
    except RedisError:
        return False


def test_the_thread_ends_when_nobody_waits_and_begins_anew(
    celery_app: FlaskCelery, hub: WatchHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "LINGER", 0.1)
    for task_id in ("a", "b"):
        with hub.watch([task_id]) as watch:
            assert watch is not None
            listener = the_listener()
            store(celery_app, task_id)
            assert watch.wait(LONG)
        listener.join(LONG)
        assert not listener.is_alive()


def test_an_error_of_our_own_leaves_nobody_waiting(hub: WatchHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with hub.watch(["a"]) as watch:
        assert watch is not None
        monkeypatch.setattr("libs.flask_celery.subscription.Subscription.check", fail)
        with pytest.raises(RedisConnectionError):
            watch.wait(LONG)
    monkeypatch.undo()
    assert can_watch(hub)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_forks_while_somebody_waits(celery_app: FlaskCelery, hub: WatchHub) -> None:
    with hub.watch(["a"]) as watch:
        assert watch is not None
        child = os.fork()
        if child == 0:
            celery_app.backend.client.connection_pool.reset()
            with hub.watch(["b"]) as own:
                store(celery_app, "b")
                os._exit(0 if own is not None and own.wait(LONG) and len(hub) == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store(celery_app, "a")
        assert watch.wait(LONG)


class Absence:
    """A read that finds Redis away until it is back."""

    def __init__(self, seconds: float) -> None:
        self.reads = 0
        self._until = time.monotonic() + seconds

    def __call__(self) -> int:
        self.reads += 1
        if time.monotonic() < self._until:
            raise RedisConnectionError("away")
        return 3


def test_who_waits_reads_again_when_redis_was_away_for_a_moment_as_it_read(hub: WatchHub) -> None:
    with hub.watch(["a"]) as watch:
        read = Absence(watch_module.PATIENCE / 2)
        assert hub.read(read, watch) == 3
        assert 1 < read.reads < 20


def test_who_waits_is_told_when_redis_stays_away_as_it_reads(hub: WatchHub) -> None:
    with hub.watch(["a"]) as watch:
        started = time.monotonic()
        with pytest.raises(RedisConnectionError):
            hub.read(Absence(LONG), watch)
        assert watch_module.PATIENCE <= time.monotonic() - started < LONG / 3


def test_who_does_not_wait_yet_is_told_at_once(hub: WatchHub) -> None:
    read = Absence(LONG)
    with pytest.raises(RedisConnectionError):
        hub.read(read)
    assert read.reads == 1


def test_the_reply_to_an_earlier_subscription_does_not_speak_for_a_later_one(celery_app: FlaskCelery) -> None:
    """In between the channel was not listened to."""
    subscription = Subscription(celery_app.backend.client.connection_pool)
    subscription.change(wanted={b"a"}, unwanted=())
    subscription.change(wanted=(), unwanted={b"a"})
    subscription.change(wanted={b"a"}, unwanted=())
    assert not subscription.hears(b"a")
    begun: list[tuple[bytes, bool]] = []

    wait_until(lambda: begun.extend(subscription.read()) or subscription.hears(b"a"), what="the replies")

    assert begun == [(b"a", False)]
    subscription.close()


def test_nobody_watches_before_redis_has_confirmed_it(hub: WatchHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subscription, "_send", lambda *_: None)

    with pytest.raises(RedisError), hub.watch(["a"]):
        pytest.fail("what was published now would be missed")


def test_nobody_is_woken_to_read_before_redis_answers_commands(hub: WatchHub, redis_url: str) -> None:
    """As one that loads its data does not, though it takes subscriptions. Here it is made to refuse PING alone."""
    with Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "default", "-ping")
        try:
            with pytest.raises(RedisError), hub.watch(["a"]):
                pytest.fail("it would read now")
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+ping")
    assert can_watch(hub)


def test_the_channels_are_the_deployments_own(config: Config) -> None:
    with built_app(replace(config, deployment="acme")) as app:
        hub, celery_app = app.extensions["job_watch"], app.extensions["celery"]
        with hub.watch(["a"]) as watch:
            assert watch is not None
            assert listening(config.redis_url) == (1, [b"acme:celery-task-meta-a"])
            store(celery_app, "a")
            assert watch.wait(LONG)
