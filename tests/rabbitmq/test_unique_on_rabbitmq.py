"""One job at a time where the broker is RabbitMQ: its record, which decides, is in Redis all the same."""

from __future__ import annotations

import pytest

from libs.flask_celery import JobState
from tests.flask_celery.unique_presses import press
from tests.functional.job_runs import JobRuns, start_probe_worker
from tests.rabbitmq.broker_node import RabbitNode

pytestmark = pytest.mark.long


def test_the_job_under_way_is_the_answer_and_the_next_one_is_new(quiet_runs: JobRuns, rabbitmq: RabbitNode) -> None:
    first, again = press(quiet_runs), press(quiet_runs)
    assert (again.task_id, again.already_running, rabbitmq.waiting()) == (first.task_id, True, 1)

    assert quiet_runs.celery.backend.records.cancel(first.task_id) is JobState.REVOKED
    second = press(quiet_runs)
    assert (second.already_running, press(quiet_runs).task_id) == (False, second.task_id)

    worker = start_probe_worker(quiet_runs, "--pool", "solo")
    assert quiet_runs.ended(second.task_id).state is JobState.SUCCESS
    worker.stop()
    assert not press(quiet_runs).already_running
