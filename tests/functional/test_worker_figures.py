"""What real workers add to the figures: what jobs waited, how each run ended, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from libs.flask_celery import Counts, Figures, JobState, read_figures
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker

WAIT, RETRY = "probe.wait", "probe.retry_when_told"


@pytest.fixture(scope="module")
def own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """Whose killed workers' jobs run again after 3 seconds."""
    options = '{"visibility_timeout": 3, "unacked_restore_interval": 0.5, "socket_timeout": 20}'
    with job_runs(tmp_path_factory.mktemp("figures"), CELERY_BROKER_TRANSPORT_OPTIONS=options) as runs:
        yield runs


def figures(runs: JobRuns) -> Figures:
    return read_figures(runs.celery)


def outcomes(counts: Counts, task: str) -> dict[str, int]:
    return {outcome: count for (name, outcome), count in counts.outcomes.items() if name == task}


def test_runs_waits_and_workers_are_told(own_runs: JobRuns) -> None:
    worker = start_probe_worker(own_runs, "--pool", "prefork", "--concurrency", "2")

    wait_until(lambda: worker.name in figures(own_runs).workers, what="a sign of the worker")
    sign = figures(own_runs).workers[worker.name]
    children = len(psutil.Process(worker.process.pid).children())
    assert (sign.slots, sign.running, sign.queues) == (2, 0, ("default",))
    assert sign.memory > (children + 1) * 10 * 1024**2
    assert sign.cpu > 0

    retried = own_runs.publish("retry_when_told").id
    due = datetime.now(UTC) + timedelta(seconds=3)
    late = own_runs.publish("answer", 1, eta=due).id
    own_runs.notes(retried)
    own_runs.say_go(retried)
    own_runs.wait_for_state(retried, JobState.RETRY)
    own_runs.ended(late)
    counts = figures(own_runs).counts

    assert outcomes(counts, RETRY) == {"RETRY": 1}
    assert outcomes(counts, "probe.answer") == {"SUCCESS": 1}
    assert RETRY not in counts.runs  # its last run has not ended
    assert sum(counts.waits[RETRY].by_bucket) == 1  # what a retry waits is as long as the job wants it
    assert counts.waits["probe.answer"].seconds < 3  # from when it was due

    worker.stop()

    assert figures(own_runs).workers == {}


@pytest.mark.long
def test_a_run_whose_worker_is_killed_is_counted_as_lost_and_the_worker_goes(own_runs: JobRuns) -> None:
    killed = start_probe_worker(own_runs, "--pool", "solo")
    wait_until(lambda: killed.name in figures(own_runs).workers, what="a sign of the worker")
    task_id = own_runs.publish("wait", "done").id
    own_runs.notes(task_id)
    killed.process.kill()
    killed.process.wait(10)
    next_one = start_probe_worker(own_runs, "--pool", "solo")
    own_runs.notes(task_id, count=2)
    own_runs.say_go(task_id)
    own_runs.ended(task_id)

    counts = figures(own_runs).counts
    assert outcomes(counts, WAIT) == {"LOST": 1, "SUCCESS": 1}
    assert sum(counts.waits[WAIT].by_bucket) == 1

    wait_until(lambda: set(figures(own_runs).workers) == {next_one.name}, timeout=60, what="one worker")
    keys = own_runs.celery.backend.keys.prefix
    wait_until(
        lambda: own_runs.celery.backend.client.hlen(f"{keys}taskgate-workers") == 1,
        timeout=60,
        what="the other's sign to be taken away",
    )
