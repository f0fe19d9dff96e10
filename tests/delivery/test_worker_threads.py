"""The worker's own threads: they hold up no process that is forked, and go on until the pool has drained."""

import re
import signal
from collections.abc import Callable

import pytest
from celery import Celery
from redis import Redis

from libs.flask_celery.worker_steps import ThreadStep
from tests.conftest import Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks


def test_the_first_jobs_of_processes_forked_while_a_thread_held_a_lock_end(
    counting_worker: Callable[..., Worker], celery_app: Celery
) -> None:
    counting_worker("--pool", "prefork", "--concurrency", "2", "-I", "tests.delivery.locks_held_at_forks")

    jobs = [celery_app.send_task("test.work", (label,)) for label in "abcd"]

    assert [job.get(timeout=30) for job in jobs] == ["a", "b", "c", "d"]


def test_they_begin_after_the_pool(counting_worker: Callable[..., Worker]) -> None:
    """Whatever order Celery takes this time."""
    worker = counting_worker("--pool", "prefork", "--concurrency", "1", "--loglevel", "DEBUG")

    [order] = re.findall(r"Worker: New boot order: \{(.*)\}", worker.log)
    steps = order.split(", ")
    threads = {step.__name__ for step in ThreadStep.__subclasses__()} & set(steps)
    assert {"LeaseKeeper", "Terminator", "WebhookPublisher"} <= threads
    assert all(steps.index("Pool") < steps.index(thread) for thread in threads)


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_job_that_a_stopping_worker_waits_for_keeps_its_lease(
    pool: str,
    environment: dict[str, str],
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
) -> None:
    environment["CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT"] = "0"
    stopping = counting_worker("--pool", pool, "--concurrency", "1")
    job = celery_app.send_task("test.work", ("a", SHORT_TIMEOUT * 3.0))
    wait_until(lambda: marks.starts("a") == 1)

    stopping.process.send_signal(signal.SIGTERM)
    counting_worker("--pool", "solo")
    stopping.process.wait(60)

    assert job.get(timeout=30) == "a"
    assert (marks.starts("a"), marks.ends("a")) == (1, 1)
    assert broker.hlen("unacked") == 0
