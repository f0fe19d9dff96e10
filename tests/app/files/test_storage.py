"""Where bytes are kept: whole files or none, the same on a disk and in S3."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.files import MissingFileError, StorageFullError, StorageUnavailableError
from app.files.local import LocalStorage
from app.files.s3 import SMALLEST_PART, S3Storage
from tests.app.files.conftest import Place
from tests.conftest import ROOT
from tests.s3_server import BUCKET

LARGE = SMALLEST_PART + 1000


class BrokenOffError(Exception):
    pass


def store(place: Place, key: str, data: bytes) -> None:
    with place.storage.writer(key) as writer:
        for start in range(0, len(data), 1_000_000):
            writer.write(data[start : start + 1_000_000])
        writer.commit()


def read(place: Place, key: str) -> bytes:
    with place.storage.open(key) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 10, SMALLEST_PART, LARGE])
def test_a_file_is_read_as_it_was_written(size: int, place: Place) -> None:
    data = os.urandom(size)

    store(place, "uploads/a", data)

    assert read(place, "uploads/a") == data
    found = place.storage.stat("uploads/a")
    assert found is not None
    assert (found.key, found.size) == ("uploads/a", size)
    assert datetime.now(UTC) - found.modified_at < timedelta(minutes=1)
    assert (place.files(), place.unfinished()) == (["uploads/a"], [])


def test_a_file_can_be_read_from_anywhere(place: Place) -> None:
    data = os.urandom(100_000)
    store(place, "uploads/a", data)

    with place.storage.open("uploads/a") as file:
        file.seek(99_000)
        assert file.read(500) == data[99_000:99_500]
        assert file.read() == data[99_500:]
        file.seek(-10, io.SEEK_END)
        assert (file.read(), file.read()) == (data[-10:], b"")


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_file_that_is_not_committed_leaves_nothing(size: int, place: Place) -> None:
    def break_off() -> None:
        with place.storage.writer("uploads/a") as writer:
            writer.write(b"x" * size)
            assert place.unfinished() or size < SMALLEST_PART
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        break_off()

    assert (place.files(), place.unfinished()) == ([], [])
    assert place.storage.stat("uploads/a") is None
    with pytest.raises(MissingFileError):
        place.storage.open("uploads/a")


def test_a_file_made_elsewhere_is_taken_over(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "made"
    source.write_bytes(b"x" * LARGE)

    assert place.storage.put("jobs/a/b-pairs.csv", source) == LARGE

    assert read(place, "jobs/a/b-pairs.csv") == b"x" * LARGE


def test_a_local_copy_is_there_while_it_is_used(place: Place, tmp_path: Path) -> None:
    store(place, "uploads/a", b"a,b")

    with place.storage.local_copy("uploads/a") as path:
        assert path.read_bytes() == b"a,b"

    assert list((tmp_path / "work").glob(".work-*")) == []
    with pytest.raises(MissingFileError), place.storage.local_copy("uploads/b"):
        pass


def test_files_are_listed_by_folder_and_deleted(place: Place) -> None:
    for key in ("jobs/a/1", "jobs/a/2", "jobs/b/1", "uploads/1"):
        store(place, key, b"x")

    assert sorted(file.key for file in place.storage.list("jobs")) == ["jobs/a/1", "jobs/a/2", "jobs/b/1"]
    assert list(place.storage.list("nothing")) == []

    place.storage.delete(["jobs/a/1", "jobs/a/2", "jobs/a/never"])

    assert sorted(place.files()) == ["jobs/b/1", "uploads/1"]
    store(place, "jobs/a/3", b"x")  # into the folder that went with its last file
    assert read(place, "jobs/a/3") == b"x"


def test_more_files_than_fit_into_one_answer_of_s3(s3: object, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of a listing are followed, and a removal is cut into requests that S3 takes."""
    monkeypatch.setattr("app.files.s3._MOST_DELETED", 4)
    if isinstance(place.storage, S3Storage):
        pages = place.storage._pages
        small = {"PaginationConfig": {"PageSize": 3}}
        monkeypatch.setattr(place.storage, "_pages", lambda name, **arguments: pages(name, **arguments, **small))
    keys = [f"jobs/{number}/x" for number in range(10)]
    for key in keys:
        store(place, key, b"x")

    assert sorted(file.key for file in place.storage.list("jobs")) == keys
    place.storage.delete(keys)
    assert place.files() == []


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "../a", "a/../b", "/etc/passwd", "a//b", "a/", "a\x00b", "a\\b", "C:/a", ".partial-x", "a\n"],
)
def test_only_a_key_names_a_file(key: str, place: Place) -> None:
    for call in (
        place.storage.open,
        place.storage.stat,
        place.storage.writer,
        lambda key: place.storage.delete([key]),
    ):
        with pytest.raises(ValueError, match="key"):
            call(key)


def test_what_was_begun_long_ago_is_swept_in_s3(place: Place) -> None:
    """moto dates every multipart upload to 2010."""
    if not isinstance(place.storage, S3Storage):
        pytest.skip("a disk knows better: see the next test")
    with place.storage.writer("jobs/a/b") as writer, place.storage.writer("uploads/a") as other:
        writer.write(b"x" * LARGE)
        other.write(b"x" * LARGE)

        place.storage.sweep_partials("jobs", 100 * 365 * 86_400)
        assert len(place.unfinished()) == 2

        place.storage.sweep_partials("jobs", 3600)
        assert place.unfinished() == [f"{place.storage._prefix}uploads/a"]


def test_a_killed_processes_partial_file_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from app.files.local import LocalStorage\n"
        "writer = LocalStorage(Path(sys.argv[1])).writer('uploads/a'); writer.write(b'x')\n"
        "print('on its way', flush=True)\n"
        "time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on its way\n"
        (partial,) = tmp_path.glob(".partial-*")
        an_hour_ago = time.time() - 3600
        os.utime(partial, (an_hour_ago, an_hour_ago))
        storage = LocalStorage(tmp_path)

        storage.sweep_partials("jobs", 60)
        assert partial.exists()

        process.kill()
        process.wait(10)
        storage.sweep_partials("jobs", 60)
        assert not partial.exists()


def test_a_symbolic_link_is_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "files" / "uploads").mkdir(parents=True)
    (tmp_path / "files" / "uploads" / "a").symlink_to(secret)
    storage = LocalStorage(tmp_path / "files")

    assert storage.stat("uploads/a") is None
    assert list(storage.list("uploads")) == []
    with pytest.raises(StorageUnavailableError):
        storage.open("uploads/a")


def test_files_are_for_the_services_user_alone(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "files")
    with storage.writer("uploads/a") as writer:
        writer.commit()

    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "files").rglob("*")] == [0, 0]


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root mounts a disk of its own")
def test_a_full_disk_is_told_from_other_failures_and_keeps_nothing_of_the_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        storage = LocalStorage(disk / "files")

        def fill() -> None:
            with storage.writer("uploads/a") as writer:
                for _ in range(20):
                    writer.write(b"x" * 100_000)
                writer.commit()

        with pytest.raises(StorageFullError):
            fill()
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        made = tmp_path / "made"
        made.write_bytes(b"x" * 2_000_000)
        with pytest.raises(StorageFullError):
            storage.put("jobs/a/b", made)
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        assert made.exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_quota_of_the_file_system_is_a_full_disk_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    for code, error in ((errno.EDQUOT, StorageFullError), (errno.EIO, StorageUnavailableError)):

        def fail(_: int, code: int = code) -> None:
            raise OSError(code, "no")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(error), storage.writer("uploads/a") as writer:
            writer.commit()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_s3_that_is_away_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    storage = S3Storage(BUCKET, "", endpoint="http://127.0.0.1:1", work_dir=tmp_path, largest=1)

    with pytest.raises(StorageUnavailableError):
        storage.stat("uploads/a")


def test_a_download_from_s3_that_breaks_off_is_taken_up_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(place.storage, S3Storage):
        pytest.skip("a disk has no connections")
    data = os.urandom(300_000)
    store(place, "uploads/a", data)
    call, starts = place.storage.call, []

    class Breaking:
        """A body whose connection is gone after its first bytes."""

        def __init__(self, body: io.BufferedIOBase) -> None:
            self.body, self.reads = body, 0

        def read(self, size: int) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise ConnectionResetError
            return self.body.read(min(size, 70_000))

        def close(self) -> None:
            self.body.close()

    def recorded(operation: str, **arguments: object) -> object:
        answer = call(operation, **arguments)
        if operation == "get_object":
            starts.append(arguments["Range"])
            answer["Body"] = Breaking(answer["Body"])
        return answer

    monkeypatch.setattr(place.storage, "call", recorded)

    with place.storage.open("uploads/a") as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == data
    assert starts == [f"bytes={start}-" for start in range(0, 300_000, 70_000)]
