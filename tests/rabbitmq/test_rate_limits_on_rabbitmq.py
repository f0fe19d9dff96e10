"""A rate limit of all workers together where the broker is RabbitMQ: workers hold what waits, Redis counts."""

from __future__ import annotations

import signal
from uuid import uuid4

import psutil
import pytest

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns

pytestmark = pytest.mark.long


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_two_workers_keep_one_rate_and_lose_nothing_when_one_is_killed(pool: str, quiet_runs: JobRuns) -> None:
    options = (*LOAD_PROBES, "--pool", pool, "--concurrency", "1")
    doomed, other = (quiet_runs.installation.start_worker(*options) for _ in range(2))
    limited, free = uuid4().hex, uuid4().hex
    jobs = [quiet_runs.publish("together", limited).id for _ in range(40)]
    for _ in range(2):
        quiet_runs.publish("unlimited", free)

    wait_until(lambda: quiet_runs.noted(free) == 2, what="the jobs that have no limit")
    assert quiet_runs.noted(limited) < 35
    for process in [doomed.process, *psutil.Process(doomed.process.pid).children(recursive=True)]:
        process.send_signal(signal.SIGKILL)
    doomed.process.wait(10)

    assert {quiet_runs.ended(job, timeout=60).state for job in jobs} == {JobState.SUCCESS}
    notes = quiet_runs.notes(limited, 40)
    times = [note["at"] for note in notes]
    assert max(sum(first <= time < first + 1 for time in times) for first in times) <= 12
    assert {note["retries"] for note in notes} == {0}
    other.stop()
