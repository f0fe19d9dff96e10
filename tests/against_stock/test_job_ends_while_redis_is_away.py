"""A job succeeds while Redis is away.

Stock: the error of storing the success counts as the job's own, so that a FAILURE is stored for it once Redis is back
(``celery/app/trace.py``, the last ``except Exception`` of ``trace_task``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.against_stock.systems import System, contrast
from tests.conftest import wait_until

#: Celery's own retries, 20 s by default, only move the moment at which it gives up.
NO_SHORT_RETRIES = {"retry_policy": {"max_retries": 0}}

#: Seconds for which Redis stays away after the job's end, unless Celery gives up before.
AWAY = 3.0


@dataclass(frozen=True)
class Stored:
    state: str
    value: str
    runs: int = 1


def observe(system: System) -> Stored:
    system.start_worker(
        *("--pool", "threads", "--concurrency", "1"),
        fault="fail_when_redis_is_back",
        result_backend_transport_options=NO_SHORT_RETRIES,
    )
    job = system.publish("probe.work_until_told", "job")
    wait_until(lambda: system.state(job) == "STARTED", what="the start")

    system.redis.stop()
    system.tell("job")
    latest = time.monotonic() + AWAY
    wait_until(lambda: (system.folder / "gave up").exists() or time.monotonic() > latest, what="the end")
    system.redis.start()
    (system.folder / "redis is back").touch()

    system.ended(job)
    result = system.meta(job)["result"]
    return Stored(
        system.state(job), result if isinstance(result, str) else result["exc_type"], len(system.notes("job"))
    )


@contrast(stock=Stored("FAILURE", "ConnectionError"), ours=Stored("SUCCESS", "job"))
def test_a_success_is_stored_as_one(system: System, expected: Stored) -> None:
    assert observe(system) == expected
