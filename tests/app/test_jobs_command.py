"""``manage.py jobs dead --direct`` and ``jobs quarantine``, with a real worker and without an API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from libs.flask_celery import JobState
from tests.app.test_commands import manage
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker

NO_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("dead")) as runs:
        start_probe_worker(runs, "--pool", "solo")
        yield runs


def jobs(runs: JobRuns, *words: str) -> tuple[int, str, str]:
    direct = ("--direct",) if words[0] == "dead" else ()
    done = manage(runs.installation.environment, "jobs", words[0], *direct, *words[1:])
    return done.returncode, done.stdout, done.stderr


def failed_job(runs: JobRuns, owner: str) -> str:
    task_id = runs.publish("tell", "failure", by=owner).id
    assert runs.ended(task_id).state is JobState.FAILURE
    return task_id


def test_a_failed_job_is_listed_and_run_again_for_its_owner(failing: JobRuns) -> None:
    task_id = failed_job(failing, "ann")

    code, listed, _ = jobs(failing, "dead", "list", "--task", "probe.tell")
    assert code == 0
    (line,) = [line for line in listed.splitlines() if line.startswith(task_id)]
    assert line.endswith("probe.tell of ann  ValueError: told to fail")

    code, printed, complaint = jobs(failing, "dead", "retry", task_id)
    assert (code, complaint) == (0, "")
    old_id, new_id = printed.split()
    assert old_id == task_id
    record = failing.ended(new_id)
    assert (record.owner, record.retry_of, record.state) == ("ann", task_id, JobState.FAILURE)
    assert task_id not in jobs(failing, "dead", "list")[1]

    # Said twice, as by two operators at once, it is one job.
    assert jobs(failing, "dead", "retry", task_id)[1].split() == [task_id, new_id]


@pytest.mark.long
def test_all_of_a_task_are_retried_and_dropped_together(failing: JobRuns) -> None:
    ids = {failed_job(failing, "bob") for _ in range(3)}
    other = failing.publish("fail_after_write").id
    failing.ended(other)

    code, printed, _ = jobs(failing, "dead", "retry", "--all", "--task", "probe.tell")

    assert code == 0
    assert ids <= {line.split()[0] for line in printed.splitlines()}
    for line in printed.splitlines():
        failing.ended(line.split()[1])
    assert other in jobs(failing, "dead", "list")[1]
    assert jobs(failing, "dead", "drop", other)[0] == 0
    assert other not in jobs(failing, "dead", "list")[1]
    assert failing.record(other).state is JobState.FAILURE
    assert jobs(failing, "dead", "drop", "--all")[0] == 0
    assert jobs(failing, "dead", "list")[1] == ""


def test_a_message_nobody_can_read_is_listed_and_dropped(failing: JobRuns) -> None:
    with Redis.from_url(failing.installation.redis.url, db=2) as broker:
        broker.lpush("default", b"\x00not json")
        wait_until(lambda: broker.llen("taskgate-dead-letters") == 1)
        (entry,) = broker.lrange("taskgate-dead-letters", 0, -1)

        listed = jobs(failing, "dead", "list")[1]
        letter_id = json.loads(entry)["id"]
        assert listed.startswith(letter_id)
        assert "a message that cannot be read" in listed
        assert jobs(failing, "dead", "retry", letter_id)[0] == 1
        assert jobs(failing, "dead", "drop", letter_id)[0] == 0
        assert broker.llen("taskgate-dead-letters") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dead", "retry"), "Name the jobs"),
        (("dead", "drop", "--task", "probe.tell"), "Name the jobs"),
        (("dead", "retry", "--all", NO_ID), "Name the jobs"),
        (("dead", "retry", NO_ID), "There is no job"),
        (("dead", "drop", NO_ID), "Not on the list"),
    ],
)
def test_what_cannot_be_done_says_so(words: tuple[str, ...], said: str, failing: JobRuns) -> None:
    code, _, complaint = jobs(failing, *words)

    assert code != 0
    assert said in complaint
    assert "Traceback" not in complaint


def test_a_job_that_has_not_ended_or_has_succeeded_is_no_dead_letter(failing: JobRuns) -> None:
    waiting = failing.publish("answer", 1, countdown=3600).id
    succeeded = failing.run("answer", 2).task_id

    code, _, complaint = jobs(failing, "dead", "retry", waiting)

    assert code == 1
    assert "has not ended yet" in complaint
    failing.celery.backend.records.cancel(waiting)
    listed = jobs(failing, "dead", "list")[1]
    assert waiting not in listed
    assert succeeded not in listed


@pytest.mark.long
def test_quarantined_jobs_are_counted_and_released(tmp_path: Path) -> None:
    with job_runs(tmp_path) as runs:
        older = runs.installation.start_worker("--pool", "solo")  # knows no probe jobs
        ids = [runs.publish("answer", number).id for number in range(3)]
        with Redis.from_url(runs.installation.redis.url, db=2) as broker:
            wait_until(lambda: broker.llen("taskgate-quarantine-default:probe.answer") == 3)
            older.stop()

            assert jobs(runs, "quarantine", "list")[1] == "3  probe.answer  in queue default\n"
            assert jobs(runs, "quarantine", "release", "--task", "other")[1] == "0 put back.\n"
            assert jobs(runs, "quarantine", "release")[1] == "3 put back.\n"

            assert broker.llen("default") == 3
            assert broker.hlen("taskgate-quarantined") == 0
        start_probe_worker(runs, "--pool", "solo")
        assert [runs.ended(task_id).result for task_id in ids] == [0, 1, 2]
