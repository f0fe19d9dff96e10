"""A worker is told to end while it runs a job that takes longer than it is given, as ``docker stop`` does it.

Stock: SIGTERM waits for the job as long as it takes, whatever ``worker_soft_shutdown_timeout`` says, which is for
SIGQUIT (``celery/apps/worker.py``); the SIGKILL that follows leaves the message registered as a dead worker's for an
hour.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.against_stock.systems import Place, System, contrast
from tests.conftest import wait_until
from tests.delivery.test_leases import kill_all

#: Seconds that a worker gives its jobs, and those it is given itself: ``docker stop`` gives 10.
SOFT_LIMIT = 1.0
GRACE = 10


@dataclass(frozen=True)
class Stop:
    by_itself: bool
    job: Place


def observe(system: System) -> Stop:
    worker = system.start_worker(
        *("--pool", "prefork", "--concurrency", "1"), worker_soft_shutdown_timeout=SOFT_LIMIT
    )
    job = system.publish("probe.work_until_told", "job")
    wait_until(lambda: system.state(job) == "STARTED", what="the start")

    worker.process.terminate()
    try:
        worker.process.wait(GRACE)
        by_itself = True
    except subprocess.TimeoutExpired:
        by_itself = False
        kill_all(worker)
    return Stop(by_itself, system.place(job))


@contrast(stock=Stop(by_itself=False, job=Place.HELD), ours=Stop(by_itself=True, job=Place.QUEUED))
def test_a_long_job_is_queued_again_as_its_worker_ends(system: System, expected: Stop) -> None:
    assert observe(system) == expected
