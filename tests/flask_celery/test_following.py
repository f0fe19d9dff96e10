"""Following jobs in one process: everyone is told everything, once, and one reads for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from libs.flask_celery import EventPage, FlaskCelery, JobFollowers, WatchHub
from libs.flask_celery.history.history import JobHistory
from libs.flask_celery.history.telling import encoded_line
from tests.conftest import RedisServer, wait_until

#: Seconds. Longer than anything here takes.
LONG = 60.0


@pytest.fixture
def hub(celery_app: FlaskCelery) -> Iterator[WatchHub]:
    hub = WatchHub(celery_app, limit=300)
    yield hub
    hub.close()


@pytest.fixture
def followers(celery_app: FlaskCelery, hub: WatchHub) -> JobFollowers:
    return JobFollowers(celery_app, hub)


@pytest.fixture
def task_id(celery_app: FlaskCelery) -> str:
    task_id: str = celery_app.tasks["maintenance.adds"].delay(1, 2).id
    return task_id


def numbers(pages: Iterator[EventPage | None]) -> list[int]:
    return [event.number for page in pages if page is not None for event in page.events]


def follow(followers: JobFollowers, task_id: str, after: int | None = 0, **options: Any) -> list[int]:
    with followers.follow(task_id) as following:
        assert following is not None
        return numbers(following.pages(after, **{"seconds": LONG, "beat": LONG, **options}))


def progress(celery_app: FlaskCelery, task_id: str, current: int) -> None:
    said = {"current": current, "total": None, "message": ""}
    celery_app.backend.store_state(task_id, said, "PROGRESS", progress=said)


def test_a_crowd_is_told_each_event_once_and_few_read_for_all(
    celery_app: FlaskCelery, followers: JobFollowers, hub: WatchHub, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, events = 100, 20
    reads: list[str] = []
    read = JobHistory.events
    monkeypatch.setattr(JobHistory, "events", lambda self, *args: (reads.append(args[0]), read(self, *args))[1])
    with ThreadPoolExecutor(crowd) as pool:
        told = [pool.submit(follow, followers, task_id) for _ in range(crowd)]
        wait_until(lambda: len(hub) == crowd, what="the crowd")
        wait_until(lambda: len(reads) >= 1, what="the first read")
        time.sleep(0.5)  # they have come to wait
        reads.clear()
        for number in range(events):
            progress(celery_app, task_id, number)
            time.sleep(0.05)
        celery_app.backend.store_state(task_id, 3, "SUCCESS")
        everything = [one.result(LONG) for one in told]

    # The state PROGRESS, as many of progress, and the end.
    assert everything == [list(range(1, events + 3))] * crowd
    # One for each would be 2,100, and each event wakes them all.
    print(f"\n{len(reads)} reads for {crowd} followers of {events + 2} events")
    assert len(reads) < 10 * events
    assert (followers._tails, len(hub)) == ({}, 0)


def test_who_comes_later_or_is_slower_is_told_everything_after_its_own_event(
    celery_app: FlaskCelery, followers: JobFollowers, task_id: str
) -> None:
    with followers.follow(task_id) as following, followers.follow(task_id) as late:
        assert following is not None
        assert late is not None
        quick = following.pages(None, seconds=LONG, beat=LONG)
        next(quick)
        for number in range(5):
            progress(celery_app, task_id, number)
        assert numbers(iter([next(quick)]))[-1] > 0
        celery_app.backend.store_state(task_id, 3, "SUCCESS")

        assert numbers(late.pages(3, seconds=LONG, beat=LONG)) == [4, 5, 6, 7]
        assert numbers(quick)[-1] == 7


def test_log_lines_wake_followers_and_not_those_who_wait_for_a_state(
    celery_app: FlaskCelery, followers: JobFollowers, hub: WatchHub, task_id: str
) -> None:
    with hub.watch([task_id]) as poll, followers.follow(task_id) as following:
        assert poll is not None
        assert following is not None
        pages = following.pages(None, seconds=LONG, beat=LONG)
        next(pages)

        celery_app.backend.history.add_lines(task_id, 0, "a", 0, [encoded_line(0, "info", 0, "x")], has_ended=False)

        assert numbers(iter([next(pages)])) == [1]
        assert not poll.wait(0.2)


def test_silence_is_told_and_a_stream_has_its_end(followers: JobFollowers, task_id: str) -> None:
    with followers.follow(task_id) as following:
        assert following is not None
        began = time.monotonic()

        pages = list(following.pages(None, seconds=0.5, beat=0.1))

        assert 0.5 <= time.monotonic() - began < 5
        assert pages[0] is not None
        assert 2 <= len(pages) - 1 <= 5
        assert set(pages[1:]) == {None}


def test_a_process_that_is_about_to_end_lets_everybody_go_and_takes_nobody(
    followers: JobFollowers, hub: WatchHub, task_id: str
) -> None:
    ended = threading.Event()

    def wait() -> None:
        follow(followers, task_id)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: len(hub) == 1, what="the follower")
    time.sleep(0.2)
    assert not ended.is_set()

    hub.dismiss()

    assert ended.wait(5)
    thread.join()
    with followers.follow(task_id) as following:
        assert following is None


def test_who_follows_is_told_that_redis_is_away(
    followers: JobFollowers, task_id: str, redis_server: RedisServer
) -> None:
    with followers.follow(task_id) as following:
        assert following is not None
        pages = following.pages(None, seconds=LONG, beat=LONG)
        next(pages)
        redis_server.stop()
        began = time.monotonic()
        try:
            with pytest.raises(RedisConnectionError):
                next(pages)
            assert time.monotonic() - began < 10
        finally:
            redis_server.start()


def test_a_follower_that_has_fallen_behind_what_is_kept_is_told_so(
    celery_app: FlaskCelery, followers: JobFollowers, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with followers.follow(task_id) as following, followers.follow(task_id) as other:
        assert following is not None
        assert other is not None
        slow = following.pages(0, seconds=LONG, beat=LONG)
        next(slow)
        for number in range(5):
            progress(celery_app, task_id, number)
        celery_app.backend.client.ltrim(celery_app.backend.keys.events(task_id), -2, -1)

        page = next(slow)

        assert page is not None
        assert (page.is_gone, page.events, page.last) == (True, (), 6)
        progress(celery_app, task_id, 9)
        assert numbers(iter([next(slow)])) == [7]
