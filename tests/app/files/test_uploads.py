"""Uploads: whole with their row or not at all, within their owner's limits, for as long as they are used."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import update

from app.extensions import db
from app.files import (
    ExpiredUploadError,
    IncomingUpload,
    QuotaExceededError,
    StorageFullError,
    StorageUnavailableError,
    UnknownUploadError,
    Upload,
    UploadInUseError,
    UploadRules,
    Uploads,
    UploadTooLargeError,
    UploadTypeError,
)
from app.models import UploadedFile
from tests.app.files.conftest import Place, local_place

RULES = UploadRules(max_size=1000, quota=1500, expires=3600)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A disk: what is said here does not depend on the storage, whose own tests are in test_storage."""
    return local_place(tmp_path / "files")


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def uploads(place: Place, context: None) -> Uploads:
    return Uploads(place.storage, RULES)


def receive(
    uploads: Uploads, *chunks: bytes, owner: str = "ann", length: int | None = None, name: str = "a"
) -> Upload:
    with uploads.receive(owner=owner, name=name, content_type="text/csv", length=length) as incoming:
        for chunk in chunks:
            incoming.write(chunk)
        file_id = incoming.finish()
    return uploads.find(file_id, owner=owner)


def rows() -> int:
    return db.session.query(UploadedFile).count()


def set_back(upload: Upload, **times: datetime) -> None:
    db.session.execute(update(UploadedFile).where(UploadedFile.id == upload.id).values(**times))
    db.session.commit()


def test_an_upload_is_there_whole_with_its_row(uploads: Uploads, place: Place) -> None:
    upload = receive(uploads, b"a,", b"b", length=3)

    assert (upload.owner, upload.name, upload.content_type, upload.size) == ("ann", "a", "text/csv", 3)
    assert upload.sha256 == sha256(b"a,b").hexdigest()
    assert upload.expires_at is not None
    assert timedelta(minutes=59) < upload.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    with uploads.open(upload) as file:
        assert file.read() == b"a,b"
    assert place.files() == [f"uploads/{upload.id}"]


def test_it_is_its_owners(uploads: Uploads) -> None:
    upload = receive(uploads, b"x")

    assert uploads.find(upload.id, owner="ann") == uploads.find(upload.id, owner=None) == upload
    for file_id, owner in ((upload.id, "bob"), (str(uuid4()), "ann"), ("../x", "ann"), ("\x00", "ann")):
        with pytest.raises(UnknownUploadError):
            uploads.find(file_id, owner=owner)


class BrokenOffError(Exception):
    pass


def break_off() -> bytes:
    raise BrokenOffError


def leave_unfinished(uploads: Uploads) -> None:
    with uploads.receive(owner="ann", name="a", content_type="", length=None) as incoming:
        incoming.write(b"x")
        # On its way it is nobody's yet.
        with pytest.raises(UnknownUploadError):
            uploads.find(incoming.id, owner="ann")
    raise UnknownUploadError


REFUSED: dict[str, tuple[Callable[[Uploads], object], type[Exception]]] = {
    "broken off": (lambda uploads: receive(uploads, b"half a ", break_off()), BrokenOffError),
    "too large": (lambda uploads: receive(uploads, b"x" * 600, b"x" * 401), UploadTooLargeError),
    "announced too large": (lambda uploads: receive(uploads, length=1001), UploadTooLargeError),
    "left unfinished": (leave_unfinished, UnknownUploadError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_upload_that_fails_on_its_way_leaves_nothing(case: str, uploads: Uploads, place: Place) -> None:
    act, error = REFUSED[case]

    with pytest.raises(error):
        act(uploads)

    assert (place.files(), place.unfinished(), rows()) == ([], [], 0)


def test_a_full_disk_leaves_nothing(uploads: Uploads, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFullError):
        receive(uploads, b"x")

    assert (place.files(), place.unfinished(), rows()) == ([], [], 0)


def test_an_owners_uploads_have_so_many_bytes_together(uploads: Uploads, place: Place) -> None:
    first = receive(uploads, b"x" * 1000)
    assert receive(uploads, b"x" * 1000, owner="bob").size == 1000

    for length in (501, None):
        with pytest.raises(QuotaExceededError) as refused:
            receive(uploads, b"x" * 501, length=length)
        assert refused.value.quota == 1500
    assert (len(place.files()), rows()) == (2, 2)
    receive(uploads, b"x" * 500, length=500)
    with pytest.raises(QuotaExceededError):
        receive(uploads, b"x")

    uploads.remove(first)
    receive(uploads, b"x" * 1000)


def test_uploads_at_one_time_do_not_exceed_it_together(uploads: Uploads, place: Place) -> None:
    with uploads.receive(owner="ann", name="a", content_type="", length=1000) as announced:
        with pytest.raises(QuotaExceededError):
            receive(uploads, length=501)
        # One of unknown length is counted when it is whole.
        with uploads.receive(owner="ann", name="b", content_type="", length=None) as other:
            other.write(b"x" * 500)
            announced.write(b"x" * 1000)
            announced.finish()
            assert other.finish()
        with (
            pytest.raises(QuotaExceededError),
            uploads.receive(owner="ann", name="c", content_type="", length=None) as third,
        ):
            third.finish()
    assert len(place.files()) == 2


def test_the_quota_is_looked_at_when_an_upload_of_unknown_length_is_whole(uploads: Uploads, place: Place) -> None:
    def unknown() -> AbstractContextManager[IncomingUpload]:
        return uploads.receive(owner="ann", name="a", content_type="", length=None)

    with unknown() as first, unknown() as second:
        first.write(b"x" * 1000)
        second.write(b"x" * 1000)
        first.finish()
        with pytest.raises(QuotaExceededError):
            second.finish()
    assert (len(place.files()), rows()) == (1, 1)


def test_a_type_that_is_not_taken_or_a_lie_leaves_nothing(uploads: Uploads, place: Place) -> None:
    uploads.rules = replace(RULES, types=("text/csv",))

    for name, content in (("page.html", b"x"), ("a.csv", b"\x7fELF"), ("a.csv", b"x\x00" * 300)):
        with pytest.raises(UploadTypeError):
            receive(uploads, content[:7], content[7:], name=name)
    assert (place.files(), place.unfinished(), rows()) == ([], [], 0)
    assert receive(uploads, b"a,", b"b", name="a.csv").size == 3


def test_pages_go_from_the_newest_to_the_oldest(uploads: Uploads) -> None:
    names = []
    for number in range(5):
        upload = receive(uploads, b"x", name=str(number))
        # Two of one moment are told apart by their ids.
        set_back(upload, created_at=datetime(2026, 1, 1 + number // 2, tzinfo=UTC))
    receive(uploads, b"x", owner="bob")

    before, seen = None, []
    while page := uploads.page("ann", before=before, limit=2):
        names.append([upload.name for upload in page])
        seen += page
        before = page[-1].created_at, page[-1].id

    assert [len(page) for page in names] == [2, 2, 1]
    assert sorted(name for page in names for name in page) == list("01234")
    assert [upload.created_at for upload in seen] == sorted((upload.created_at for upload in seen), reverse=True)


def test_using_an_upload_keeps_it_for_another_while(uploads: Uploads) -> None:
    upload = receive(uploads, b"x")
    assert uploads.use(upload.id, owner="ann").expires_at == upload.expires_at  # just used: no write
    set_back(upload, used_at=datetime.now(UTC) - timedelta(minutes=30))

    used = uploads.use(upload.id, owner="ann")

    assert used.expires_at is not None
    assert used.expires_at - datetime.now(UTC) > timedelta(minutes=59)
    with pytest.raises(UnknownUploadError):
        uploads.use(upload.id, owner="bob")
    set_back(upload, removed_at=datetime.now(UTC))
    with pytest.raises(ExpiredUploadError):
        uploads.use(upload.id, owner="ann")
    with pytest.raises(UnknownUploadError):
        uploads.find(upload.id, owner="bob")


def test_without_a_limit_an_upload_does_not_expire(uploads: Uploads) -> None:
    uploads.rules = replace(RULES, expires=0)
    upload = receive(uploads, b"x")
    set_back(upload, used_at=datetime(2020, 1, 1, tzinfo=UTC))

    assert uploads.use(upload.id, owner="ann").expires_at is None


def test_a_removed_upload_is_gone_altogether(uploads: Uploads, place: Place) -> None:
    upload = receive(uploads, b"x")

    uploads.remove(upload)

    assert (place.files(), rows()) == ([], 0)
    with pytest.raises(UnknownUploadError):
        uploads.find(upload.id, owner="ann")
    with pytest.raises(ExpiredUploadError):
        uploads.open(upload)


@pytest.mark.parametrize("spelling", [str, lambda text: text.upper(), lambda text: text.replace("-", "")])
def test_an_upload_that_an_unfinished_job_names_stays(
    spelling: Callable[[str], str], uploads: Uploads, place: Place, app: Flask
) -> None:
    from flask import g

    celery_app = app.extensions["celery"]
    upload = receive(uploads, b"x")
    g.principal = "ann"
    job = celery_app.send_task("some.task", kwargs={"nested": [{"file": spelling(upload.id)}]})

    with pytest.raises(UploadInUseError) as refused:
        uploads.remove(upload)

    assert refused.value.task_id == job.id
    assert place.files() == [f"uploads/{upload.id}"]
    celery_app.backend.records.cancel(job.id)
    uploads.remove(upload)
    assert place.files() == []


def test_an_upload_that_was_given_up_meanwhile_is_not_finished(uploads: Uploads, place: Place) -> None:
    """As when its process stood still for longer than the sweep waits."""
    with uploads.receive(owner="ann", name="a", content_type="", length=None) as incoming:
        incoming.write(b"x")
        db.session.execute(update(UploadedFile).values(removed_at=datetime.now(UTC)))
        db.session.commit()
        with pytest.raises(StorageUnavailableError):
            incoming.finish()

    assert place.files() == []
