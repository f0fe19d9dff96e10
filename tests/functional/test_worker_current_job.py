"""``current_job`` in a running job: progress, and files."""

from __future__ import annotations

import json
from pathlib import Path

from redis import Redis

from libs.flask_celery import JobState
from tests.functional.job_runs import JobRuns
from tests.installation import API


def test_progress_is_stored_ten_times_a_second_at_most_and_the_last_one_always(runs: JobRuns) -> None:
    seconds = 1.0
    with Redis.from_url(runs.installation.redis.url) as client, client.pubsub() as listener:
        listener.subscribe("celery-task-meta-throttled")
        job = runs.publish("report_in_seconds", seconds, task_id="throttled")
        record = runs.ended(job.id)
        states = []
        while (message := listener.get_message(timeout=1)) is not None:
            if message["type"] == "message":
                states.append(json.loads(message["data"]))

    stored = [meta["progress"] for meta in states if meta["status"] == "PROGRESS"]
    calls = record.result
    assert calls > 100
    assert 5 <= len(stored) <= seconds * 10 + 2
    assert stored[-1] == {"current": calls, "total": calls, "message": "done"}
    assert [meta["status"] for meta in states if meta["status"] != "PROGRESS"] == ["STARTED", "SUCCESS"]
    assert record.progress is not None
    assert (record.progress.current, record.progress.total) == (calls, calls)


def test_what_was_said_last_is_on_record_without_a_total_and_after_a_failure(runs: JobRuns) -> None:
    for fails, state in ((False, JobState.SUCCESS), (True, JobState.FAILURE)):
        record = runs.run("count_quickly", 500, fails)

        assert record.state is state
        assert record.progress is not None
        assert (record.progress.current, record.progress.total, record.progress.message) == (500, None, "counted")


def test_a_file_is_attached_and_can_be_downloaded(runs: JobRuns, tmp_path: Path) -> None:
    record = runs.run("attach", str(tmp_path), by="ann")

    assert record.result == record.task_id
    assert [(file.name, file.size, file.content_type) for file in record.files] == [("answer.txt", 2, "text/plain")]
    assert not (tmp_path / "answer.txt").exists()
    response = runs.installation.client.get(
        f"{API}/results/{record.task_id}/files/answer.txt", headers=runs.installation.headers("ann")
    )
    assert (response.status_code, response.text) == (200, "42")
    response.close()


def test_a_job_reads_its_submitters_files_and_nobody_elses(runs: JobRuns) -> None:
    file_id = runs.installation.upload("ann", b"code,name\n")

    assert runs.run("read_input", file_id, by="ann").result == ["e\n", "code"]
    refused = runs.run("read_input", file_id, by="bob")
    assert (refused.state, refused.failure and refused.failure.type) == (JobState.FAILURE, "UnknownUploadError")


def test_progress_after_the_run_is_not_news(runs: JobRuns) -> None:
    """``on_success`` of this probe says something more; the record stays as the run left it."""
    job = runs.publish("tell", kwargs={"outcome": "success"})

    assert [note["hook"] for note in runs.notes(job.id, 4)][-1] == "after_return"
    record = runs.record(job.id)
    assert (record.state, record.progress) == (JobState.SUCCESS, None)
