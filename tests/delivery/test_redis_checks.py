"""A worker says so when its Redis may lose jobs, and refuses it when told to be strict."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from libs.flask_celery.redis_checks import problems_of
from tests.conftest import Worker, wait_until

SOUND = {"maxmemory_policy": "noeviction", "aof_enabled": 1, "redis_version": "7.2.4"}


@pytest.mark.parametrize(
    ("info", "word"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
        ({"aof_enabled": 0}, "appendonly"),
        ({"redis_version": "6.0.16"}, "6.2"),
    ],
)
def test_each_problem_is_a_sentence_that_says_what_to_do(info: dict[str, object], word: str) -> None:
    (problem,) = problems_of({**SOUND, **info})

    assert word in problem
    assert problem.endswith(".")


def test_a_sound_redis_has_no_problem() -> None:
    assert problems_of(SOUND) == []


def test_warned_of_and_refused_when_strict(
    start_worker: Callable[..., Worker],
    environment: dict[str, str],
    tmp_path: Path,
    broker: "Redis[bytes]",
) -> None:
    broker.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "Redis may drop jobs" in start_worker("--pool", "solo").log

        refused = Worker({**environment, "STRICT_REDIS": "1"}, tmp_path / "refused.log", "--pool", "solo")

        wait_until(lambda: refused.process.poll() is not None, timeout=60)
        assert refused.process.wait() != 0
        assert "STRICT_REDIS is on. Redis may drop jobs" in refused.log
    finally:
        broker.config_set("maxmemory-policy", "noeviction")
