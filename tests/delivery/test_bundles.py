"""Short jobs that are handed to a pool's process together: to everybody else as if each had been alone."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from kombu.utils.json import loads
from redis import Redis

from libs.flask_celery import JobState, StateChange
from libs.flask_celery.bundles.tokens import Tokens, take
from tests.conftest import RedisServer, Worker, wait_until
from tests.delivery.conftest import Marks, times_read

#: Whose jobs count as short, so that one of them is not until it turns out.
SHORT = ("test.work", "test.work_until", "test.work_in_files", "test.kill_its_process", "test.end_oddly")

#: A quarter of what waits comes along with the first one.
QUEUED = 40


def test_each_token_is_taken_once() -> None:
    tokens = Tokens()
    handle = tokens.put(3)

    assert take(handle) == 0
    assert tokens.left() == 2
    assert tokens.take_rest() == [1, 2]
    assert take(handle) is None
    assert tokens.take_rest() == []
    tokens.close()


def test_who_was_forgotten_about_gets_none_of_a_later_bundle() -> None:
    tokens = Tokens()
    forgotten = tokens.put(2)
    later = tokens.put(3)

    assert tokens.left() == 3  # nothing of the earlier one
    assert take(forgotten) is None
    assert [take(later), take(later), take(later)] == [1, 2, None]
    tokens.close()


class Filled:
    """A worker that is about to take a queue of short jobs, several at a time."""

    def __init__(self, celery_app: Celery, broker: "Redis[bytes]", tmp_path: Path, worker: Worker) -> None:
        self.celery_app, self.broker, self.worker = celery_app, broker, worker
        self._gate = tmp_path / "gate"

    def put(self, *special: tuple[str, tuple[Any, ...], dict[str, Any]]) -> tuple[list[str], list[str]]:
        """Queue plain jobs, these instead of the fourth and the following. Returns: the ids of the plain ones, and of
        these.
        """
        send = self.celery_app.send_task
        plain = [send("test.work", (f"j{number}",)).id for number in range(3)]
        odd = [send(name, args, **options).id for name, args, options in special]
        plain += [send("test.work", (f"j{number}",)).id for number in range(3, QUEUED - len(odd))]
        return plain, odd

    def go(self) -> None:
        """Let the job end that the worker has had until now."""
        self._gate.touch()

    def state(self, task_id: str) -> JobState:
        state: JobState = self.celery_app.backend.records.get(task_id).state
        return state

    def wait_final(self, ids: list[str], state: JobState = JobState.SUCCESS) -> None:
        wait_until(lambda: all(self.state(task_id).ready for task_id in ids), timeout=60, what="all to be over")
        assert {self.state(task_id) for task_id in ids} == {state}

    def queued(self) -> list[str]:
        """Ids of what waits, the next one first."""
        return [loads(message)["headers"]["id"] for message in self.broker.lrange("default", 0, -1)[::-1]]

    def stats(self) -> Any:
        (found,) = (self.celery_app.control.inspect().stats() or {}).values()
        return found

    def active(self) -> list[str]:
        found = (self.celery_app.control.inspect().active() or {}).values()
        return [job["id"] for jobs in found for job in jobs]


@pytest.fixture
def filled(
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> Filled:
    backend = celery_app.backend
    backend.client.hset(backend.keys.run_times, mapping=dict.fromkeys(SHORT, 1))
    celery_app.send_task("test.work_until", ("first", str(tmp_path / "gate")))
    worker = counting_worker("--pool", "prefork", "--concurrency", "1")
    wait_until(lambda: marks.starts("first") == 1, timeout=60)
    looks = times_read(broker)
    wait_until(lambda: times_read(broker) > looks + 1, what="the run times")
    return Filled(celery_app, broker, tmp_path, worker)


@pytest.mark.long
def test_they_are_handed_over_together_and_told_of_one_by_one(filled: Filled, marks: Marks) -> None:
    before = filled.stats()["pool"]["writes"]["total"]
    plain, _ = filled.put()
    filled.go()

    filled.wait_final(plain)
    wait_until(lambda: filled.broker.hlen("unacked") == 0)
    stats = filled.stats()
    assert stats["pool"]["writes"]["total"] - before < QUEUED * 3 / 4
    assert stats["total"]["test.work"] == QUEUED
    history = filled.celery_app.backend.history
    for number, task_id in enumerate(plain):
        events = history.events(task_id, 0).events
        assert [event.data.state for event in events if isinstance(event.data, StateChange)] == ["STARTED", "SUCCESS"]
        assert marks.starts(f"j{number}") == 1


@pytest.mark.long
def test_when_one_takes_longer_the_others_go_on_elsewhere_and_it_is_one_that_runs(
    filled: Filled, marks: Marks, tmp_path: Path, counting_worker: Callable[..., Worker]
) -> None:
    plain, [long] = filled.put(("test.work_until", ("long", str(tmp_path / "long")), {}))
    filled.go()

    wait_until(lambda: filled.state(long) is JobState.STARTED)
    wait_until(lambda: filled.queued() == plain[3:], what="what has not begun to be back, in its order")
    assert filled.active() == [long]
    assert filled.broker.hlen("unacked") == 1
    counting_worker("--pool", "prefork", "--concurrency", "1")
    filled.wait_final(plain)
    assert not filled.state(long).ready

    (tmp_path / "long").touch()
    filled.wait_final([long])
    wait_until(lambda: filled.broker.hlen("unacked") == 0)
    assert [marks.starts(label) for label in ("long", *(f"j{number}" for number in range(QUEUED - 1)))] == [
        1
    ] * QUEUED


@pytest.mark.long
def test_its_time_limit_is_kept(filled: Filled, tmp_path: Path) -> None:
    plain, [long] = filled.put(("test.work_until", ("long", str(tmp_path / "long")), {"time_limit": 10}))
    filled.go()

    filled.wait_final([long], JobState.FAILURE)
    assert filled.celery_app.backend.records.get(long).failure.type == "TimeLimitExceeded"
    filled.wait_final(plain)
    wait_until(lambda: filled.broker.hlen("unacked") == 0)


@pytest.mark.long
def test_it_is_ended_for_who_cancels_the_hard_way(filled: Filled, tmp_path: Path, marks: Marks) -> None:
    plain, [long] = filled.put(("test.work_until", ("long", str(tmp_path / "long")), {}))
    filled.go()
    wait_until(lambda: marks.starts("long") == 1)

    filled.celery_app.backend.records.cancel(long, terminate=True)

    filled.wait_final([long], JobState.REVOKED)
    filled.wait_final(plain)
    assert [marks.starts(f"j{number}") for number in range(QUEUED - 1)] == [1] * (QUEUED - 1)


@pytest.mark.long
def test_one_that_ends_its_process_is_told_from_the_others(filled: Filled, marks: Marks) -> None:
    plain, [deadly] = filled.put(("test.kill_its_process", ("deadly",), {}))
    filled.go()

    filled.wait_final(plain)
    filled.wait_final([deadly], JobState.FAILURE)
    assert filled.celery_app.backend.records.get(deadly).failure.type == "WorkerLostError"
    assert marks.starts("deadly") == 2
    assert all(marks.starts(f"j{number}") <= 2 for number in range(3))  # their ends may not have been stored
    assert [marks.starts(f"j{number}") for number in range(3, QUEUED - 1)] == [1] * (QUEUED - 4)
    wait_until(lambda: filled.broker.hlen("unacked") == 0)


@pytest.mark.long
def test_however_they_end_it_is_as_if_they_had_been_alone(filled: Filled, marks: Marks) -> None:
    ways = {"error": "FAILURE", "reject": "FAILURE", "retry": "SUCCESS", "exit": "SUCCESS"}
    plain, odd = filled.put(*(("test.end_oddly", (how, how), {}) for how in ways))
    filled.go()

    filled.wait_final(plain)
    wait_until(lambda: all(filled.state(task_id).ready for task_id in odd), timeout=60)
    assert dict(zip(ways, map(filled.state, odd), strict=True)) == ways
    assert filled.celery_app.backend.records.get(odd[0]).failure.message == "error"
    assert {how: marks.starts(how) for how in ("retry", "exit")} == {"retry": 2, "exit": 2}
    wait_until(lambda: filled.broker.hlen("unacked") == 0)


@pytest.mark.long
def test_a_worker_that_is_told_to_stop_gives_back_what_has_not_begun(
    filled: Filled, marks: Marks, tmp_path: Path
) -> None:
    plain, [long] = filled.put(("test.work_until", ("long", str(tmp_path / "long")), {}))
    filled.go()
    wait_until(lambda: marks.starts("long") == 1)

    filled.worker.process.terminate()

    wait_until(lambda: filled.queued() == plain[3:], what="what has not begun to be back")
    (tmp_path / "long").touch()
    filled.worker.process.wait(timeout=30)
    filled.wait_final([long, *plain[:3]])
    assert filled.broker.hlen("unacked") == 0


@pytest.mark.long
def test_a_killed_worker_loses_none(filled: Filled, marks: Marks, counting_worker: Callable[..., Worker]) -> None:
    plain, _ = filled.put()
    filled.go()
    wait_until(lambda: marks.ends("j2") == 1)

    processes = psutil.Process(filled.worker.process.pid)
    for process in (processes, *processes.children(recursive=True)):
        os.kill(process.pid, signal.SIGKILL)
    counting_worker("--pool", "prefork", "--concurrency", "1")

    filled.wait_final(plain)
    wait_until(lambda: filled.broker.hlen("unacked") == 0, timeout=60)


@pytest.mark.long
def test_a_redis_that_goes_away_meanwhile_loses_none(
    filled: Filled, redis_server: RedisServer, tmp_path: Path
) -> None:
    files = [("test.work_in_files", (f"f{number}", str(tmp_path)), {}) for number in range(QUEUED - 3)]
    plain, others = filled.put(*files)
    filled.go()
    wait_until((tmp_path / "f2").exists)

    redis_server.stop(kill=True)
    redis_server.start()

    filled.wait_final(plain + others)
    wait_until(lambda: filled.broker.hlen("unacked") == 0, timeout=60)
