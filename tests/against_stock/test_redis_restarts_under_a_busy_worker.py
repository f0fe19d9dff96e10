"""Redis is restarted while a worker runs a job.

Stock: closing a connection that is gone already asks it for its host name and meets None, which ends the worker with
"Unrecoverable error" (``celery/worker/consumer/consumer.py``, ``collect``; ``kombu/transport/redis.py``,
``_connparams``), as soon as it holds a message that it has not started.
"""

from __future__ import annotations

from enum import StrEnum

from tests.against_stock.systems import SHORT_TIMEOUT, System, contrast
from tests.conftest import wait_until


class WorkerEnd(StrEnum):
    DIED = "it has ended by itself"
    ALIVE = "it runs the next job"


def observe(system: System) -> WorkerEnd:
    worker = system.start_worker(
        # The multiplier is Celery's default; ours is 1.
        *("--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "4"),
        broker_transport_options=SHORT_TIMEOUT,
    )
    system.publish("probe.work_until_told", "running")
    behind = system.publish("probe.work", "behind")
    wait_until(lambda: system.notes("running") and system.broker.hlen("unacked") == 2, what="both messages")

    system.redis.stop(kill=True)
    system.redis.start()
    wait_until(
        lambda: "Unrecoverable error" in worker.log or worker.log.count("Connected to") > 1,
        timeout=60,
        what="the worker's giving up or its connection",
    )
    system.tell("running")
    wait_until(
        lambda: worker.process.poll() is not None or system.state(behind) == "SUCCESS",
        timeout=60,
        what="the worker's end or the next job's",
    )
    if worker.process.poll() is None:
        return WorkerEnd.ALIVE
    assert "Unrecoverable error: AttributeError" in worker.log
    return WorkerEnd.DIED


@contrast(stock=WorkerEnd.DIED, ours=WorkerEnd.ALIVE)
def test_a_busy_worker_survives_a_restart_of_redis(system: System, expected: WorkerEnd) -> None:
    assert observe(system) is expected
