"""The file store: whole files or none, and names that cannot leave it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask

from app.extensions import db
from app.file_store import FileStore, UploadTooLargeError
from app.models import UploadedFile
from libs.flask_celery import JobFile

LIMIT = 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def store(root: Path) -> FileStore:
    return FileStore(root, max_upload=LIMIT)


def everything(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class ConnectionLostError(Exception):
    pass


def chunks_until_the_connection_is_lost() -> Iterator[bytes]:
    yield b"half a "
    raise ConnectionLostError


def test_an_upload_is_there_whole_with_its_row(store: FileStore, app: Flask) -> None:
    with app.app_context():
        upload = store.save_upload(db.session(), [b"a,", b"b"], owner="ann", name="x.csv", content_type="text/csv")
        db.session.commit()

        assert store.upload_path(upload.id).read_bytes() == b"a,b"
        assert store.find_upload(db.session(), upload.id, owner="ann") is upload
        assert store.find_upload(db.session(), upload.id, owner="bob") is None
        assert store.find_upload(db.session(), str(uuid4()), owner="ann") is None
        assert upload.created_at.utcoffset() is not None


@pytest.mark.parametrize(
    ("chunks", "error"),
    [(chunks_until_the_connection_is_lost, ConnectionLostError), (lambda: [b"x" * (LIMIT + 1)], UploadTooLargeError)],
)
def test_an_upload_that_fails_on_its_way_leaves_nothing(
    chunks: object, error: type[Exception], store: FileStore, root: Path, app: Flask
) -> None:
    with app.app_context():
        with pytest.raises(error):
            store.save_upload(db.session(), chunks(), owner="ann", name="x", content_type="text/csv")  # type: ignore[operator]

        assert everything(root) == []
        assert db.session.query(UploadedFile).count() == 0


def test_an_upload_may_have_exactly_the_limit(store: FileStore, root: Path, app: Flask) -> None:
    with app.app_context():
        store.save_upload(db.session(), [b"x" * LIMIT], owner="ann", name="x", content_type="text/csv")
        assert [path.stat().st_size for path in everything(root)] == [LIMIT]


def test_a_discarded_upload_is_gone_and_can_be_discarded_again(store: FileStore, root: Path, app: Flask) -> None:
    with app.app_context():
        upload = store.save_upload(db.session(), [b"x"], owner="ann", name="x", content_type="text/csv")
    for _ in range(2):
        store.discard_upload(upload.id)
        assert everything(root) == []


@pytest.mark.parametrize("file_id", ["", "..", "../../etc/passwd", "x", "/etc/passwd", "\x00"])
def test_only_a_file_id_names_an_upload(file_id: str, store: FileStore) -> None:
    with pytest.raises(ValueError, match="UUID"):
        store.upload_path(file_id)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "../x", "a\nb", "a b", "-x", "x" * 129, "é", "a\x00"]
)
def test_a_jobs_file_has_a_plain_name(name: str, store: FileStore, tmp_path: Path) -> None:
    source = tmp_path / "made"
    source.write_text("x")

    with pytest.raises(ValueError, match="is named with"):
        store.keep("id", name, source, "text/csv")
    assert source.exists()


@pytest.mark.parametrize("task_id", ["4f6c", "../../../etc", "/abs", "a\x00b", "任务", "x" * 5000])
def test_a_jobs_files_are_kept_below_the_root_whatever_its_id(
    task_id: str, store: FileStore, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "made"
    source.write_text("x,y")

    kept = store.keep(task_id, "pairs.csv", source, "text/csv")

    assert kept == JobFile(name="pairs.csv", size=3, content_type="text/csv")
    path = store.job_file_path(task_id, kept)
    assert path.read_text() == "x,y"
    assert path.resolve().is_relative_to(root.resolve())
    assert not source.exists()


def test_a_workspace_is_removed_whatever_happens_in_it(store: FileStore, root: Path) -> None:
    def lose_the_connection() -> None:
        with store.workspace() as folder:
            (folder / "pairs.csv").write_text("x")
            raise ConnectionLostError

    with pytest.raises(ConnectionLostError):
        lose_the_connection()

    assert list((root / "jobs").iterdir()) == []
