"""``files``: uploads that are taken."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from app.extensions import db
from app.models import UploadedFile
from tests.installation import API, Installation

CATALOGUE = b"code,name\nA-1,Bolt\n"


def uploads(installation: Installation) -> set[Path]:
    return {path for path in (installation.folder / "var").rglob("*") if path.is_file() and "uploads" in path.parts}


@pytest.mark.parametrize("as_form", [True, False], ids=["form", "body"])
def test_an_upload_is_stored_as_it_came(as_form: bool, installation: Installation, ann: dict[str, str]) -> None:
    if as_form:
        answer = installation.client.post(
            f"{API}/files", data={"file": (io.BytesIO(CATALOGUE), "parts.csv", "text/csv")}, headers=ann
        )
    else:
        answer = installation.client.post(
            f"{API}/files?name=parts.csv", data=CATALOGUE, content_type="text/csv", headers=ann
        )

    assert answer.status_code == 201
    file = answer.json
    assert (file["name"], file["size"], file["content_type"]) == ("parts.csv", len(CATALOGUE), "text/csv")
    assert file["sha256"] == sha256(CATALOGUE).hexdigest()
    assert file["created_at"].endswith("Z")
    assert datetime.now(UTC) - datetime.fromisoformat(file["created_at"]) < timedelta(minutes=1)
    (path,) = (path for path in uploads(installation) if path.name == file["file_id"])
    assert path.read_bytes() == CATALOGUE
    assert path.stat().st_mode & 0o077 == 0
    with installation.app.app_context():
        row = db.session.get(UploadedFile, file["file_id"])
        assert row is not None
        assert (row.owner, row.size) == ("ann", len(CATALOGUE))


def test_an_upload_can_be_named_in_params_by_its_owner(installation: Installation, ann: dict[str, str]) -> None:
    file_id = installation.client.post(f"{API}/files", data=CATALOGUE, headers=ann).json["file_id"]

    answer = installation.client.post(
        f"{API}/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": file_id}, headers=ann
    )

    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("/", "upload"),
        ("..", "upload"),
        ("a\x00b\x1b[31m.csv", "ab[31m.csv"),
        ("목록.csv", "목록.csv"),
        ("x" * 5000 + ".csv", "x" * 255),
    ],
)
def test_a_file_name_is_for_people_only(
    sent: str, kept: str, installation: Installation, ann: dict[str, str]
) -> None:
    before = uploads(installation)

    answer = installation.client.post(f"{API}/files", data={"file": (io.BytesIO(b"x"), sent)}, headers=ann)

    assert answer.status_code == 201
    assert answer.json["name"] == kept
    (path,) = uploads(installation) - before
    assert path.name == answer.json["file_id"]


def test_a_windows_path_is_a_path_too(installation: Installation, ann: dict[str, str]) -> None:
    query = {"name": "C:\\data\\..\\parts.csv"}

    answer = installation.client.post(f"{API}/files", query_string=query, data=b"x", headers=ann)

    assert (answer.status_code, answer.json["name"]) == (201, "parts.csv")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("text/csv; charset=latin-1", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        (None, "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("text/" + "x" * 300, "application/octet-stream"),
        ("text/<script>", "application/octet-stream"),
    ],
)
def test_a_media_type_is_kept_when_it_is_one(
    sent: str | None, kept: str, installation: Installation, ann: dict[str, str]
) -> None:
    answer = installation.client.post(f"{API}/files", data=b"x", content_type=sent, headers=ann)

    assert (answer.status_code, answer.json["content_type"]) == (201, kept)


def test_an_upload_may_be_larger_than_a_json_body(installation: Installation, ann: dict[str, str]) -> None:
    size = 3 * installation.app.config["MAX_CONTENT_LENGTH"]

    answer = installation.client.post(f"{API}/files", data=b"x" * size, headers=ann)

    assert (answer.status_code, answer.json["size"]) == (201, size)
