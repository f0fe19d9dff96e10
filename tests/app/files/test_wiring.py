"""From settings to a place for files, or one clear line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.files import JobFiles, init_app
from app.files.local import LocalStorage
from config import Config, ConfigError


def storage_of(config: Config) -> object:
    app = Flask(__name__)
    init_app(app, config)
    files: JobFiles = app.extensions["job_files"]
    return files._storage


@pytest.mark.parametrize(
    "url",
    [
        "/a/directory", "file://host/x", "file:relative", "s3://", "s3:///prefix", "s3://key:secret@bucket/x",
        "s3://bucket?x=y", "gs://bucket", "ftp://h/x", "http://h/x",
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_used_is_refused(url: str, config: Config) -> None:
    with pytest.raises(ConfigError, match=r"^FILES_URL wants ") as refused:
        storage_of(replace(config, files_url=url))
    assert "secret" not in str(refused.value)


def test_a_directory_is_taken_with_any_name_and_each_deployment_has_its_own(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "a b%20ключ"
    for deployment, root in (("", folder), ("acme", folder / "@acme")):
        storage = storage_of(replace(config, files_url=folder.as_uri(), deployment=deployment))
        assert isinstance(storage, LocalStorage)
        with storage.writer("uploads/x") as writer:
            writer.commit()
        assert (root / "uploads" / "x").exists()


def test_s3_without_its_library_names_what_to_install(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    for module in ("app.files.s3", "app.files.s3_reader"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    with pytest.raises(ConfigError, match=r"pip install -r requirements-s3\.txt"):
        storage_of(replace(config, files_url="s3://bucket/prefix"))
