"""What the sweep removes, and what it must not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import update

from app.extensions import db
from app.files import (
    ExpiredUploadError,
    FileSweep,
    JobFiles,
    Storage,
    StoredFile,
    UnknownUploadError,
    Upload,
    UploadRules,
    Uploads,
)
from app.files.workspace import sweep_workspaces, workspace
from app.models import UploadedFile
from libs.flask_celery import JobFile, JobState, kept_files
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.history.telling import told_of_state
from libs.flask_celery.record_scripts import STORE, STORED
from tests.app.files.conftest import Place

EXPIRES = 3600


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def uploads(place: Place) -> Uploads:
    return Uploads(place.storage, UploadRules(max_size=10_000_000, expires=EXPIRES))


@pytest.fixture
def sweep(place: Place, uploads: Uploads, tmp_path: Path) -> FileSweep:
    return FileSweep(place.storage, uploads, interval=1, work_dir=tmp_path / "work")


@pytest.fixture
def jobs(place: Place, uploads: Uploads, app: Flask, tmp_path: Path) -> Jobs:
    return Jobs(app.extensions["celery"], JobFiles(place.storage, uploads, tmp_path / "work"), tmp_path)


class Jobs:
    """Jobs as Redis knows them, in whichever state, and files that their runs have left."""

    def __init__(self, celery_app: Any, files: JobFiles, folder: Path) -> None:
        self.celery, self.files, self.folder = celery_app, files, folder

    def accept(self, task_id: str, **params: str) -> str:
        g.principal = "ann"
        self.celery.send_task("some.task", kwargs=params, task_id=task_id)
        return task_id

    def leave(self, task_id: str, name: str = "pairs.csv") -> JobFile:
        source = self.folder / "made"
        source.write_text("x")
        return self.files.keep(task_id, name, source, "text/csv")

    def store(self, task_id: str, state: JobState, *files: JobFile) -> None:
        fields = {"files": [{name: getattr(file, name) for name in JobFile.__slots__} for file in files]}
        meta = {**self.celery.backend._get_result_meta(None, state.value, None, None), **fields, "task_id": task_id}
        facts = SubmissionFacts(submitted_at=0, owner="ann")
        meta |= {"name": "some.task", "owner": facts.owner}
        backend = self.celery.backend
        # The record by the script that stores all of them.
        arguments = [task_id, backend.encode(meta), state.value, 3600, 7200_000, 0, "ann", "some.task", "", 0, ""]
        arguments += [told_of_state(state.value, meta), ""]
        assert backend.run_record_script(STORE, task_id, arguments)[0] == STORED

    def expire(self, task_id: str, *, ledger: bool = False) -> None:
        keys = self.celery.backend.keys
        self.celery.backend.client.delete(keys.meta(task_id), *([keys.ledger(task_id)] if ledger else []))


def run(sweep: FileSweep) -> None:
    for _ in sweep.run():
        pass


def receive(uploads: Uploads, owner: str = "ann") -> Upload:
    with uploads.receive(owner=owner, name="a", content_type="", length=None) as incoming:
        incoming.write(b"x")
        file_id = incoming.finish()
    return uploads.find(file_id, owner=owner)


def set_back(upload_id: str, **times: datetime) -> None:
    db.session.execute(update(UploadedFile).where(UploadedFile.id == upload_id).values(**times))
    db.session.commit()


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_an_upload_goes_when_it_was_not_used_for_long(uploads: Uploads, sweep: FileSweep, place: Place) -> None:
    old, new = receive(uploads), receive(uploads)
    set_back(old.id, used_at=ago(EXPIRES + 1))
    set_back(new.id, used_at=ago(EXPIRES - 60))

    run(sweep)

    assert place.files() == [f"uploads/{new.id}"]
    with pytest.raises(ExpiredUploadError):
        uploads.find(old.id, owner="ann")
    assert [upload.id for upload in uploads.page("ann", before=None, limit=9)] == [new.id]


def test_what_has_expired_is_known_for_as_long_as_jobs_are(
    uploads: Uploads, sweep: FileSweep, place: Place, app: Flask
) -> None:
    old = receive(uploads)
    set_back(old.id, removed_at=ago(app.extensions["celery"].backend.retention + 1))

    run(sweep)

    assert (place.files(), db.session.query(UploadedFile).count()) == ([], 0)
    with pytest.raises(UnknownUploadError):
        uploads.find(old.id, owner="ann")


def test_an_upload_that_an_unfinished_job_names_is_kept_until_it_has_ended(
    uploads: Uploads, sweep: FileSweep, place: Place, jobs: Jobs
) -> None:
    old = receive(uploads)
    jobs.accept("waits", file_id=old.id)
    set_back(old.id, used_at=ago(EXPIRES + 1))

    run(sweep)
    assert place.files() == [f"uploads/{old.id}"]
    assert uploads.find(old.id, owner="ann").expires_at > datetime.now(UTC) + timedelta(minutes=59)  # type: ignore[operator]

    jobs.celery.backend.records.cancel("waits")
    set_back(old.id, used_at=ago(EXPIRES + 1))
    run(sweep)
    assert place.files() == []


def test_an_upload_that_is_used_while_it_is_swept_is_kept(
    uploads: Uploads, sweep: FileSweep, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = receive(uploads)
    set_back(old.id, used_at=ago(EXPIRES + 1))

    def use_in_between(*_: object) -> dict[str, str]:
        uploads.use(old.id, owner="ann")
        return {}

    monkeypatch.setattr("app.files.sweep.uploads_in_use", use_in_between)

    run(sweep)

    assert place.files() == [f"uploads/{old.id}"]
    assert uploads.find(old.id, owner="ann").id == old.id


def test_without_a_limit_no_upload_goes(uploads: Uploads, sweep: FileSweep, place: Place) -> None:
    uploads.rules = UploadRules(max_size=100)
    set_back(receive(uploads).id, used_at=datetime(2020, 1, 1, tzinfo=UTC))

    run(sweep)

    assert len(place.files()) == 1


def test_what_a_killed_process_has_left_of_an_upload_goes(uploads: Uploads, sweep: FileSweep, place: Place) -> None:
    """Before its bytes are whole, and between that and the moment in which its row says so."""
    with (
        uploads.receive(owner="ann", name="a", content_type="", length=None) as lives,
        uploads.receive(owner="ann", name="b", content_type="", length=6_000_000) as begun,
        uploads.receive(owner="ann", name="c", content_type="", length=None) as almost,
    ):
        begun.write(b"x" * 6_000_000)
        almost.write(b"x")
        almost._writer.commit()
        for incoming in (begun, almost):
            incoming._is_finished = True  # nobody will tidy up
            set_back(incoming.id, created_at=ago(601))

        run(sweep)

        lives.write(b"x")
        lives.finish()
        assert place.files() == [f"uploads/{lives.id}"]
        if place.settings["FILES_URL"].startswith("s3"):  # where the process is gone for all one knows
            assert place.unfinished() == []
        begun._writer.abort()


def test_the_files_of_a_job_go_with_its_record(sweep: FileSweep, place: Place, jobs: Jobs) -> None:
    kept = {}
    for task_id in ("ended", "expired", "任务/../x", "y" * 500):
        jobs.accept(task_id)
        kept[task_id] = jobs.leave(task_id)
        jobs.store(task_id, JobState.SUCCESS, kept[task_id])

    run(sweep)
    assert {file.key for file in kept.values()} <= set(place.files())

    for task_id in ("expired", "任务/../x", "y" * 500):
        jobs.expire(task_id)
    run(sweep)
    assert place.files() == [kept["ended"].key]


def test_files_that_the_record_does_not_name_go_once_it_is_final(sweep: FileSweep, place: Place, jobs: Jobs) -> None:
    """Those of runs that failed and were repeated, or that were overtaken."""
    jobs.accept("job")
    first, second = jobs.leave("job"), jobs.leave("job")
    jobs.store("job", JobState.STARTED)

    run(sweep)
    assert sorted(place.files()) == sorted([first.key, second.key])

    jobs.store("job", JobState.SUCCESS, second)
    run(sweep)
    assert place.files() == [second.key]
    assert jobs.files.find(second).size == 1


def test_a_job_that_ends_while_it_is_swept_keeps_its_files(
    sweep: FileSweep, place: Place, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves another file and ends after the listing, and before Redis is asked."""
    jobs.accept("job")
    first, later = jobs.leave("job"), []

    def end_in_between(celery_app: Any, task_ids: list[str]) -> Any:
        later.append(jobs.leave("job", "more.csv"))
        jobs.store("job", JobState.SUCCESS, first, *later)
        return kept_files(celery_app, task_ids)

    monkeypatch.setattr("app.files.sweep.kept_files", end_in_between)

    run(sweep)

    assert sorted(place.files()) == sorted([first.key, later[0].key])


@pytest.mark.parametrize("days", [0, 7, 8.1])
def test_files_of_a_job_that_redis_does_not_know_are_kept_for_as_long_as_it_could(
    days: float, sweep: FileSweep, place: Place, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that looks into an empty Redis removes nothing of what others have just made."""
    left = jobs.leave("elsewhere")
    listed = place.storage.list

    def older(storage: Storage, folder: str) -> Iterator[StoredFile]:
        for file in listed(folder):
            yield StoredFile(file.key, file.size, file.modified_at - timedelta(days=days))

    monkeypatch.setattr(type(place.storage), "list", older)

    run(sweep)

    assert place.files() == ([] if days > 8 else [left.key])


def test_a_sweep_goes_through_more_than_one_step(
    sweep: FileSweep, uploads: Uploads, place: Place, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.files.sweep._STEP", 2)
    for number in range(5):
        set_back(receive(uploads, owner=f"owner {number % 2}").id, used_at=ago(EXPIRES + 1))
        jobs.accept(f"job{number}")
        jobs.store(f"job{number}", JobState.SUCCESS, jobs.leave(f"job{number}"))
        jobs.expire(f"job{number}")

    assert len(list(sweep.run())) >= 6

    assert place.files() == []


def test_a_workspace_is_removed_at_its_end_and_swept_when_its_process_is_gone(tmp_path: Path) -> None:
    parent = tmp_path / "work"
    with workspace(parent) as folder:
        (folder / "pairs.csv").write_text("x")
        abandoned = parent / ".work-abandoned"
        abandoned.mkdir()
        (abandoned / "pairs.csv").write_text("x")

        sweep_workspaces(parent)
        assert abandoned.exists()  # it may be about to be locked
        sweep_workspaces(parent, grace=0)

        assert list(parent.iterdir()) == [folder]
    assert list(parent.iterdir()) == []
