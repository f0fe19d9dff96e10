"""Workers with a short visibility timeout, and what their jobs have marked."""

from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from flask import Flask
from redis import Redis

from tests.conftest import Worker
from tests.delivery.counted_jobs import ENDS, STARTS

#: Seconds; the lease is renewed three times in it.
SHORT_TIMEOUT = 3


class Marks:
    """What the counted jobs have left."""

    def __init__(self, client: "Redis[bytes]") -> None:
        self._client = client

    def starts(self, label: str) -> int:
        return self._count(STARTS, label)

    def ends(self, label: str) -> int:
        return self._count(ENDS, label)

    def _count(self, key: str, label: str) -> int:
        return sum(mark.split()[0].decode() == label for mark in self._client.lrange(key, 0, -1))


def times_read(broker: "Redis[bytes]") -> int:
    """How often somebody has looked at how long runs take, among others."""
    calls: int = broker.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"]
    return calls


@pytest.fixture
def marks(redis_url: str) -> Iterator[Marks]:
    with Redis.from_url(redis_url, db=5) as client:
        yield Marks(client)


@pytest.fixture
def broker(redis_url: str) -> Iterator["Redis[bytes]"]:
    with Redis.from_url(redis_url, db=2) as client:
        yield client


@pytest.fixture
def celery_app(app: Flask) -> Celery:
    import tests.delivery.counted_jobs  # noqa: F401 - registers its tasks

    found: Celery = app.extensions["celery"]
    return found


@pytest.fixture
def counting_worker(environment: dict[str, str], start_worker: Callable[..., Worker]) -> Callable[..., Worker]:
    """Starts a worker with the counted jobs and a short visibility timeout."""
    environment["CELERY_BROKER_TRANSPORT_OPTIONS"] = (
        f'{{"visibility_timeout": {SHORT_TIMEOUT}, "unacked_restore_interval": 0.5}}'
    )

    def start(*options: str) -> Worker:
        return start_worker("-I", "tests.delivery.counted_jobs", *options)

    return start
