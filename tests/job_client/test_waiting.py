"""Waiting for one job: progress, failures, files, time-outs, events and logs."""

from __future__ import annotations

import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from libs.job_client import (
    ConflictError,
    JobClient,
    JobFailed,
    JobState,
    LogEvent,
    NotFoundError,
    Options,
    Progress,
    ProgressEvent,
    ResultTimeoutError,
    StateEvent,
)
from tests.conftest import ROOT

PARTS = ROOT / "samples" / "parts.csv"


def test_progress_is_told_and_files_come_down(client: Any, tmp_path: Path) -> None:
    told: list[Progress] = []
    file = client.upload(PARTS)

    job = client.submit("maintenance.refresh_onboard_table", file_id=file.file_id)
    result = job.result(timeout=90, on_progress=told.append)

    assert result["read"] == 1503
    assert told
    assert told == sorted(told, key=lambda progress: progress.current)
    assert len({progress.current for progress in told}) == len(told)
    (rejected,) = job.status().files
    assert (rejected.name, rejected.content_type) == ("rejected.csv", "text/csv")
    target = tmp_path / "kept.csv"
    target.write_text("what was there before")
    assert job.download("rejected.csv", target) == rejected.size == target.stat().st_size
    assert target.read_text().count("\n") == 4
    stream = BytesIO()
    assert job.download("rejected.csv", stream) == rejected.size
    assert stream.getvalue() == target.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]


def test_a_failed_job_raises_with_its_error_and_is_a_dead_letter(client: Any) -> None:
    file = client.upload(BytesIO(b"neither,of\nthe,columns\n"), name="wrong.csv")
    job = client.submit("maintenance.refresh_onboard_table", file_id=file.file_id)

    with pytest.raises(JobFailed) as failed:
        job.result(timeout=60)

    error = failed.value.job.error
    assert error is not None
    assert error.type in str(failed.value)
    assert error.message in str(failed.value)
    assert job.wait().state is JobState.FAILURE
    (letter,) = [letter for letter in client.dead_letters() if letter.task_id == job.task_id]
    assert (letter.task, letter.error) == ("maintenance.refresh_onboard_table", error)
    (outcome,) = client.retry_dead([job.task_id])
    (same,) = client.retry_dead([job.task_id])
    assert outcome.retried_as == same.retried_as != None  # noqa: E711
    client.job(outcome.retried_as).wait(timeout=60)
    (dropped,) = client.drop_dead([outcome.retried_as])
    assert dropped.dropped
    (gone,) = client.drop_dead([outcome.retried_as])
    assert (gone.dropped, gone.problem.status) == (False, 404)


def test_a_job_that_takes_too_long_is_a_time_out_and_goes_on(client: Any) -> None:
    job = client.submit("maintenance.adds", Options(delay=3_600), a=1, b=2)
    began = time.monotonic()

    with pytest.raises(ResultTimeoutError) as over:
        job.result(timeout=1.5)

    assert 1.4 < time.monotonic() - began < 20
    assert isinstance(over.value, TimeoutError)
    assert over.value.job is not None
    assert over.value.job.state is JobState.PENDING
    assert job.cancel().state is JobState.REVOKED


def test_events_go_from_the_first_to_the_last_and_on_from_any(client: Any) -> None:
    file = client.upload(PARTS)
    job = client.submit("maintenance.refresh_onboard_table", file_id=file.file_id)
    job.wait(timeout=90)

    everything = list(job.events(after=0))

    states = [event.state for event in everything if isinstance(event, StateEvent)]
    assert states[-1] is JobState.SUCCESS
    assert JobState.STARTED in states
    assert any(isinstance(event, ProgressEvent) for event in everything)
    last = everything[-1]
    assert isinstance(last, StateEvent)
    assert last.job is not None
    assert last.job.result["read"] == 1503
    ids = [event.id for event in everything if not isinstance(event, LogEvent)]
    assert ids == sorted(set(ids))
    middle = everything[len(everything) // 2]
    assert list(job.events(after=middle.id)) == [event for event in everything if event.id > middle.id]
    assert list(job.events(after=last.id)) == []
    (present,) = job.events()
    assert present.job == last.job
    assert list(job.logs()) == [event.line for event in everything if isinstance(event, LogEvent)]


def test_an_input_file_comes_back_as_it_was_and_can_be_removed(client: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    file = client.upload(BytesIO(content), name="odd name – ü.bin")

    assert (file.name, file.size) == ("odd name – ü.bin", len(content))
    assert client.file(file.file_id) == file
    assert file in list(client.files())
    assert client.download(file.file_id, tmp_path / "back.bin") == len(content)
    assert (tmp_path / "back.bin").read_bytes() == content
    client.remove_file(file.file_id)
    with pytest.raises(NotFoundError):
        client.download(file.file_id, tmp_path / "gone.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["back.bin"]


def test_an_upload_begins_where_the_stream_stands(client: Any) -> None:
    stream = BytesIO(b"headerbody")
    stream.seek(6)

    assert client.upload(stream, name="x.txt").size == 4


def test_a_file_that_a_job_needs_cannot_be_removed(plain_client: JobClient) -> None:
    file = plain_client.upload(BytesIO(b"code,name\nA-1,Bolt\n"), name="one.csv")
    job = plain_client.submit("maintenance.refresh_onboard_table", Options(delay=600), file_id=file.file_id)

    with pytest.raises(ConflictError):
        plain_client.remove_file(file.file_id)
    job.cancel()
