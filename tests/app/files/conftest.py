"""The places where files can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from app.files import Storage
from app.files.local import LocalStorage
from app.files.s3 import S3Storage
from tests.s3_server import BUCKET, CREDENTIALS, S3Server, s3_server


@dataclass
class Place:
    """A storage, and what lies in it, seen from outside."""

    storage: Storage
    settings: dict[str, str]
    files: Callable[[], list[str]]
    unfinished: Callable[[], list[str]]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Each in turn, and empty."""
    if request.param == "local":
        yield local_place(tmp_path / "files")
        return
    server: S3Server = request.getfixturevalue("s3")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    prefix = uuid4().hex
    storage = S3Storage(BUCKET, prefix, endpoint=server.url, work_dir=tmp_path / "work", largest=1024**3)
    yield Place(
        storage,
        server.settings(prefix),
        lambda: [key.removeprefix(f"{prefix}/") for key in server.keys(prefix)],
        lambda: server.unfinished(prefix),
    )
    for client in storage._clients.values():
        client.close()


def local_place(root: Path) -> Place:
    def below(*, partial: bool) -> list[str]:
        found = [path for path in root.rglob("*") if path.is_file() and path.parent.name != ".work"]
        return sorted(
            path.relative_to(root).as_posix() for path in found if path.name.startswith(".partial-") is partial
        )

    return Place(
        LocalStorage(root), {"FILES_URL": root.as_uri()}, lambda: below(partial=False), lambda: below(partial=True)
    )
