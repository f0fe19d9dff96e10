"""Messages that a worker cannot run.

Stock: a list element that is no JSON ends the worker (``kombu/transport/redis.py``, ``_brpop_read``); a task that it
does not know is stored as a failure and its message dropped; a message whose body cannot be decoded is dropped and
its job is PENDING for ever (``celery/worker/consumer/consumer.py``, ``on_unknown_task`` and ``on_invalid_task``). A
body of another shape ends the worker too (``celery/worker/request.py``, ``Request.__init__``).
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass

import pytest

from tests.against_stock.systems import Place, System, contrast
from tests.conftest import wait_until


@dataclass(frozen=True)
class AfterGarbage:
    worker_alive: bool
    garbage_kept: bool


def observe_garbage(system: System) -> AfterGarbage:
    worker = system.start_worker("--pool", "solo")
    system.broker.lpush("default", "no JSON, but a word of its own: zebra")
    behind = system.publish("probe.work", "behind")
    wait_until(lambda: worker.process.poll() is not None or system.state(behind) == "SUCCESS", what="either end")
    return AfterGarbage(worker.process.poll() is None, system.place("zebra") is Place.PARKED)


@contrast(
    stock=AfterGarbage(worker_alive=False, garbage_kept=False),
    ours=AfterGarbage(worker_alive=True, garbage_kept=True),
)
def test_garbage_in_a_queue_harms_nobody(system: System, expected: AfterGarbage) -> None:
    assert observe_garbage(system) == expected


@dataclass(frozen=True)
class BadJob:
    state: str
    message: Place


def observe_job(system: System, job: str) -> BadJob:
    """After a worker has met the job: the next one in the queue has ended."""
    behind = system.publish("probe.work", "behind")
    system.start_worker("--pool", "solo")
    assert system.ended(behind) == "SUCCESS"
    return BadJob(system.state(job), system.place(job))


@contrast(stock=BadJob("FAILURE", Place.NOWHERE), ours=BadJob("PENDING", Place.PARKED))
def test_a_task_that_the_worker_does_not_know_waits_for_one_that_does(system: System, expected: BadJob) -> None:
    job = system.publish("probe.of_the_next_version")

    assert observe_job(system, job) == expected


UNDECODABLE = {
    "of a type that is not accepted": {"content-type": "application/x-python-serialize"},
    "not JSON": {"body": b64encode(b"not JSON").decode()},
}


def damage(system: System, job: str, damaged: dict[str, str]) -> None:
    """Replace parts of the job's message in its queue."""
    message = json.loads(system.broker.rpop("default"))
    system.broker.lpush("default", json.dumps(message | damaged))
    assert system.place(job) is Place.QUEUED


@pytest.mark.parametrize("damaged", UNDECODABLE.values(), ids=UNDECODABLE)
@contrast(stock=BadJob("PENDING", Place.NOWHERE), ours=BadJob("FAILURE", Place.PARKED))
def test_a_message_that_cannot_be_decoded_is_kept_and_its_job_fails(
    system: System, expected: BadJob, damaged: dict[str, str]
) -> None:
    job = system.publish("probe.work", "job")
    damage(system, job, damaged)

    assert observe_job(system, job) == expected


@dataclass(frozen=True)
class AfterPoison:
    worker_alive: bool
    job: BadJob


POISONS = {"of another shape": {"body": b64encode(b"[]").decode()}, "not base64": {"body": "?"}}


def observe_poison(system: System, job: str) -> AfterPoison:
    behind = system.publish("probe.work", "behind")
    worker = system.start_worker("--pool", "solo")
    wait_until(lambda: worker.process.poll() is not None or system.state(behind) == "SUCCESS", what="either end")
    return AfterPoison(worker.process.poll() is None, BadJob(system.state(job), system.place(job)))


@pytest.mark.parametrize("damaged", POISONS.values(), ids=POISONS)
@contrast(
    # The message goes back to its queue as the worker ends, and ends the next worker.
    stock=AfterPoison(worker_alive=False, job=BadJob("PENDING", Place.QUEUED)),
    ours=AfterPoison(worker_alive=True, job=BadJob("FAILURE", Place.PARKED)),
)
def test_a_message_whose_body_is_no_tasks_ends_no_worker(
    system: System, expected: AfterPoison, damaged: dict[str, str]
) -> None:
    job = system.publish("probe.work", "job")
    damage(system, job, damaged)

    assert observe_poison(system, job) == expected
