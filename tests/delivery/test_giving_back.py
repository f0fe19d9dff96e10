"""A message that was given back is run elsewhere: whatever becomes of it here counts for nothing."""

from signal import SIGINT, SIGQUIT, SIGTERM
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.worker import state
from redis import Redis

from libs.flask_celery import JobState
from libs.flask_celery.giving_back import NotStarted, Stage, reach
from libs.flask_celery.request import JobRequest
from libs.flask_celery.shutdown import Stop, next_stop


@pytest.fixture
def request_of_job(celery_app: Celery) -> JobRequest:
    """Of a job that is under way, as its worker's main process has it."""
    job = celery_app.send_task("test.work", ("a",))
    celery_app.backend.store_state(job.id, None, JobState.STARTED.value)
    message = SimpleNamespace(
        headers={"id": job.id, "task": "test.work", "retries": 0},
        body=(("a",), {}, {}),
        payload=(("a",), {}, {}),
        properties={},
        delivery_info={"exchange": "", "routing_key": "default"},
        delivery_tag="a tag",
        content_type="application/json",
        content_encoding="utf-8",
    )
    return JobRequest(message, app=celery_app, task=celery_app.tasks["test.work"], decoded=True)


def lost() -> ExceptionInfo:
    try:
        raise WorkerLostError("signal 9")
    except WorkerLostError:
        return ExceptionInfo()


def test_a_lost_process_is_a_retry_while_the_worker_goes_on(
    request_of_job: JobRequest, celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    request_of_job.on_failure(lost())

    assert celery_app.backend.records.get(request_of_job.id).state is JobState.RETRY


def test_what_becomes_of_a_run_whose_message_was_given_back_is_not_stored(
    request_of_job: JobRequest, celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    reach(request_of_job.message, Stage.GIVEN_BACK)
    before = (broker.llen("default"), broker.zcard("taskgate-delayed"))

    request_of_job.on_failure(lost())
    request_of_job.on_timeout(soft=False, timeout=1)

    assert celery_app.backend.records.get(request_of_job.id).state is JobState.STARTED
    assert (broker.llen("default"), broker.zcard("taskgate-delayed")) == before


def test_a_job_either_starts_or_is_given_back(request_of_job: JobRequest) -> None:
    assert reach(request_of_job.message, Stage.STARTED)
    assert reach(request_of_job.message, Stage.DISPATCHED)  # said late
    assert request_of_job.message.job_stage is Stage.STARTED

    reach(request_of_job.message, Stage.GIVEN_BACK)

    assert not reach(request_of_job.message, Stage.STARTED)
    with pytest.raises(NotStarted):
        request_of_job.on_accepted(1, 0.0)
    assert request_of_job not in state.active_requests


@pytest.mark.parametrize(
    ("timeout", "signals", "stops"),
    [
        (8, [SIGTERM, SIGTERM], [Stop.SOFT, Stop.CUT]),
        (8, [SIGQUIT, SIGINT], [Stop.SOFT, Stop.CUT]),
        (8, [SIGINT, SIGINT, SIGINT], [Stop.WARM, Stop.SOFT, Stop.CUT]),
        (8, [SIGINT, SIGTERM, SIGQUIT], [Stop.WARM, Stop.SOFT, Stop.CUT]),
        (0, [SIGTERM, SIGTERM, SIGQUIT], [Stop.WARM, Stop.WARM, Stop.CUT]),
        (0, [SIGINT, SIGINT], [Stop.WARM, Stop.CUT]),
        (0, [SIGQUIT], [Stop.CUT]),
    ],
)
def test_each_signal_is_at_least_as_urgent_as_the_one_before(
    timeout: float, signals: list[int], stops: list[Stop]
) -> None:
    reached: list[Any] = [Stop.NOT]
    for number in signals:
        reached.append(next_stop(reached[-1], number, timeout))

    assert reached[1:] == stops
