"""Messages that a worker holds for longer than RabbitMQ's ``consumer_timeout``, half an hour unless it is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.job_runs import LOAD_PROBES, job_runs
from tests.rabbitmq.conftest import a_node

pytestmark = pytest.mark.long

#: Milliseconds, as RabbitMQ has them: the limit, and how often it looks.
SHORT = {"consumer_timeout": 3_000, "channel_tick_interval": 1_000}


def test_a_worker_outlives_it_and_loses_neither_what_waits_nor_what_runs(
    rabbitmq_script: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with a_node(rabbitmq_script, **SHORT) as node, job_runs(tmp_path, BROKER_URL=node.url) as runs:
        worker = runs.installation.start_worker(*LOAD_PROBES, "--pool", "prefork", "--concurrency", "2")
        delayed = runs.publish("tell", countdown=12)
        running = runs.publish("wait_long", str(tmp_path))
        wait_until(lambda: worker.log.count("Connection to broker lost") >= 2, timeout=60, what="two time-outs")
        assert worker.process.poll() is None
        go.touch()

        assert runs.ended(running.id, timeout=60).state is JobState.SUCCESS
        notes = runs.notes(running.id)
        assert notes[0]["pid"] in [note.get("ended") for note in notes]  # the first run was not stopped
        record = runs.ended(delayed.id, timeout=60)
        assert record.state is JobState.SUCCESS
        assert record.started_at is not None
        assert record.submitted_at is not None
        assert (record.started_at - record.submitted_at).total_seconds() >= 11.9
        hooks = [note["hook"] for note in runs.notes(delayed.id, 4)]
        assert hooks == ["before_start", "run", "on_success", "after_return"]
        assert runs.run("answer", 1).result == 1
