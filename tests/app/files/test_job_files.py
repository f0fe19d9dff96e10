"""The files of jobs: plain names, keys of their own, and ids that cannot leave their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask, g

from app.files import JobFiles, MissingFileError, UnknownUploadError, Uploads
from app.files.job_files import folder_of, task_id_of
from app.files.local import LocalStorage
from libs.flask_celery import JobFile, current_job
from tests.app.files.conftest import Place


@pytest.fixture
def files(place: Place, app: Flask, tmp_path: Path) -> JobFiles:
    uploads: Uploads = app.extensions["uploads"]
    return JobFiles(place.storage, uploads, tmp_path / "work")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    source = tmp_path / "made"
    source.write_text("x,y")
    return source


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "../x", "a\nb", "a b", "-x", "x" * 129, "é", "a\x00"]
)
def test_a_jobs_file_has_a_plain_name(name: str, app: Flask, made: Path) -> None:
    files: JobFiles = app.extensions["job_files"]

    with pytest.raises(ValueError, match="is named with"):
        files.keep("id", name, made, "text/csv")
    assert made.exists()


IDS = ["4f6c", "../../../etc", "..", ".", "", "/abs", "a\x00b", "任务", "x" * 5000, "=abc", "%2E", "~x", "a\\b"]


@pytest.mark.parametrize("task_id", IDS)
def test_a_jobs_files_stay_below_the_root_whatever_its_id(
    task_id: str, files: JobFiles, place: Place, made: Path
) -> None:
    kept = files.keep(task_id, "pairs.csv", made, "text/csv")

    assert (kept.name, kept.size, kept.content_type) == ("pairs.csv", 3, "text/csv")
    with files.open(files.find(kept)) as file:
        assert file.read() == b"x,y"
    assert all(key.startswith("jobs/") and key.count("/") == 2 and ".." not in key for key in place.files())


def test_a_folder_says_whose_it_is() -> None:
    assert len({folder_of(task_id) for task_id in IDS}) == len(IDS)
    for task_id in IDS:
        assert task_id_of(folder_of(task_id)) in (task_id, None)
    assert [task_id for task_id in IDS if task_id_of(folder_of(task_id)) is None] == ["", "x" * 5000]


def test_of_two_runs_neither_touches_the_others_file(files: JobFiles, made: Path) -> None:
    first = files.keep("job", "pairs.csv", made, "text/csv")
    made.write_text("another")
    second = files.keep("job", "pairs.csv", made, "text/csv")

    assert first.key != second.key
    assert [files.find(file).size for file in (first, second)] == [3, 7]


@pytest.mark.parametrize("key", ["", "jobs/job/never"])
def test_a_file_that_is_not_there(key: str, files: JobFiles) -> None:
    with pytest.raises(MissingFileError):
        files.find(JobFile("pairs.csv", 3, "text/csv", key))


def test_a_function_called_as_plain_python_reads_its_principals_files(app: Flask) -> None:
    with app.app_context():
        uploads: Uploads = app.extensions["uploads"]
        with uploads.receive(owner="ann", name="a", content_type="", length=None) as incoming:
            incoming.write(b"a,b")
            file_id = incoming.finish()
        g.principal = "ann"
        with current_job.open_file(file_id) as file:
            assert file.read() == b"a,b"
        g.principal = "bob"
        with pytest.raises(UnknownUploadError), current_job.open_file(file_id):
            pass


def test_a_file_that_cannot_be_renamed_to_its_place_is_copied(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from another disk."""
    import errno

    rename = Path.rename

    def from_this_disk_alone(self: Path, target: Path) -> Path:
        if self == made:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", from_this_disk_alone)
    storage = LocalStorage(tmp_path / "files")

    assert storage.put("jobs/a/b", made) == 3

    assert (tmp_path / "files" / "jobs" / "a" / "b").read_text() == "x,y"
    assert [path.name for path in (tmp_path / "files").rglob("*") if path.is_file()] == ["b"]
    assert not made.exists()
