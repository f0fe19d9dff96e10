"""When the messages of workers are taken for lost.

Stock: the time is stamped once, as a message is delivered, and nothing renews it (``kombu/transport/redis.py``,
``QoS.append``). The default of an hour makes a dead worker's jobs wait that long; a short one runs long jobs again
beside themselves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.against_stock.systems import SHORT_TIMEOUT, System, contrast
from tests.conftest import wait_until
from tests.delivery.test_leases import kill_all


@dataclass(frozen=True)
class BackAfter:
    a_minute: bool
    an_hour: bool


def let_time_pass(system: System, seconds: int) -> None:
    """Make what is registered as some worker's look as if it had been for longer."""
    for tag, _ in system.broker.zscan_iter("unacked_index"):
        system.broker.zincrby("unacked_index", -seconds, tag)
    if system.broker.exists("taskgate-looks"):  # and as if other workers had gone on looking
        system.broker.hincrbyfloat("taskgate-looks", "since", -seconds)
        system.broker.hset("taskgate-looks", "last", time.time())


def is_back(system: System) -> bool:
    """Whether a new worker, with the settings that a worker has by default, runs the job again."""
    starts = len(system.notes("job"))
    worker = system.start_worker("--pool", "threads", "--concurrency", "1")
    # A worker gives back what is over before it takes its first message, and to the head of the queue. So the job,
    # which does not end, keeps the worker from the other one when it is back.
    other = system.publish("probe.work", "other")
    wait_until(
        lambda: len(system.notes("job")) > starts or system.state(other) == "SUCCESS", timeout=60, what="either job"
    )
    kill_all(worker)
    return len(system.notes("job")) > starts


def observe_dead_worker(system: System) -> BackAfter:
    doomed = system.start_worker("--pool", "threads", "--concurrency", "1")
    system.publish("probe.work_until_told", "job")
    wait_until(lambda: system.notes("job"), what="the start")
    kill_all(doomed)

    let_time_pass(system, 60)
    after_a_minute = is_back(system)
    let_time_pass(system, 3600)
    return BackAfter(after_a_minute, is_back(system))


@contrast(stock=BackAfter(a_minute=False, an_hour=True), ours=BackAfter(a_minute=True, an_hour=True))
def test_a_dead_workers_job_is_back_soon(system: System, expected: BackAfter) -> None:
    assert observe_dead_worker(system) == expected


def observe_long_job(system: System) -> bool:
    system.start_worker("--pool", "threads", "--concurrency", "2", broker_transport_options=SHORT_TIMEOUT)
    job = system.publish("probe.work_until_told", "job")

    wait_until(lambda: system.notes("job"), what="the start")
    latest = time.monotonic() + 4 * SHORT_TIMEOUT["visibility_timeout"]
    wait_until(lambda: len(system.notes("job")) > 1 or time.monotonic() > latest, what="a second run")
    system.tell("job")
    assert system.ended(job) == "SUCCESS"
    return len(system.notes("job")) > 1


@contrast(stock=True, ours=False)
def test_a_job_longer_than_the_visibility_timeout_is_not_run_beside_itself(system: System, expected: bool) -> None:
    assert observe_long_job(system) is expected
