"""``files``: listing, describing and removing one's own uploads, and what is refused."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from app.api_keys import Scope
from app.extensions import db
from app.files import StorageUnavailableError, Uploads
from app.models import UploadedFile
from tests.installation import API, Installation, assert_problem

REFRESH = f"{API}/tasks/maintenance.refresh_onboard_table/jobs"


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return installation.client


@pytest.fixture
def rules(installation: Installation) -> Iterator[Uploads]:
    """Uploads whose rules a test may change."""
    uploads: Uploads = installation.app.extensions["uploads"]
    before = uploads.rules
    yield uploads
    uploads.rules = before


def removed(installation: Installation, file_id: str) -> None:
    """As the sweep has it that has found it expired."""
    gone = update(UploadedFile).where(UploadedFile.id == file_id).values(removed_at=datetime.now(UTC))
    with installation.app.app_context():
        db.session.execute(gone)
        db.session.commit()


def test_ones_files_are_listed_newest_first_in_pages(installation: Installation, client: FlaskClient) -> None:
    carl = installation.headers("carl")
    ids = [installation.upload("carl", name=f"{number}.csv") for number in range(5)]
    installation.upload("ann")
    removed(installation, installation.upload("carl"))

    pages, query = [], {"limit": "2"}
    while True:
        answer = client.get(f"{API}/files", query_string=query, headers=carl)
        assert answer.status_code == 200
        pages.append([file["file_id"] for file in answer.json["files"]])
        if answer.json["next"] is None:
            break
        query["cursor"] = answer.json["next"]

    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


@pytest.mark.parametrize("cursor", ["x", "%00", "é", "bm8gbnVtYmVy", "x" * 513, "OTk5OTk5OTk5OTk5OTk5OTkgeA=="])
def test_a_cursor_that_is_none(cursor: str, client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.get(f"{API}/files?cursor={cursor}", headers=ann), 422, "cursor")


def test_a_file_is_described(installation: Installation, client: FlaskClient, ann: dict[str, str]) -> None:
    uploaded = client.post(f"{API}/files?name=parts.csv", data=b"code\n", headers=ann).json

    described = client.get(f"{API}/files/{uploaded['file_id']}", headers=ann)

    assert (described.status_code, described.json) == (200, uploaded)
    life = datetime.fromisoformat(uploaded["expires_at"]) - datetime.fromisoformat(uploaded["created_at"])
    assert abs(life.total_seconds() - installation.app.config["TASKGATE"].upload_expires) < 1
    admin = installation.headers("root", Scope.ADMIN)
    assert client.get(f"{API}/files/{uploaded['file_id']}", headers=admin).json == uploaded


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fsecret.key", "%2Fetc%2Fpasswd", "x%00", "C:%5Cx", "x" * 300])
def test_nothing_but_a_file_id_names_a_file(name: str, client: FlaskClient, ann: dict[str, str]) -> None:
    for path in (f"{API}/files/{name}", f"{API}/files/{name}/content"):
        assert_problem(client.get(path, headers=ann), 404)


def test_a_removed_file_does_not_exist(
    installation: Installation, client: FlaskClient, ann: dict[str, str], bob: dict[str, str]
) -> None:
    before, file_id = installation.what_is_kept(), installation.upload("ann")
    assert_problem(client.delete(f"{API}/files/{file_id}", headers=bob), 404)

    answer = client.delete(f"{API}/files/{file_id}", headers=ann)

    assert (answer.status_code, answer.data) == (204, b"")
    assert installation.what_is_kept() == before
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert_problem(client.open(f"{API}/files/{file_id}{path}", method=method, headers=ann), 404)
    assert_problem(client.post(REFRESH, json={"file_id": file_id}, headers=ann), 422, "file_id")


def test_a_file_that_an_unfinished_job_needs_is_not_removed(
    installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    file_id = installation.upload("ann")
    job = client.post(REFRESH, json={"file_id": file_id}, headers=ann).json

    refused = client.delete(f"{API}/files/{file_id}", headers=ann)

    assert_problem(refused, 409)
    assert job["task_id"] in refused.json["detail"]
    client.delete(job["links"]["cancel"], headers=ann)
    assert client.delete(f"{API}/files/{file_id}", headers=ann).status_code == 204


def test_an_expired_file_says_so_to_its_owner(
    installation: Installation, client: FlaskClient, ann: dict[str, str], bob: dict[str, str]
) -> None:
    file_id = installation.upload("ann")
    removed(installation, file_id)

    for path in (f"{API}/files/{file_id}", f"{API}/files/{file_id}/content"):
        assert_problem(client.get(path, headers=ann), 410)
        assert_problem(client.get(path, headers=bob), 404)
    submitted = client.post(REFRESH, json={"file_id": file_id}, headers=ann)
    assert_problem(submitted, 422, "file_id")
    assert "expired" in submitted.json["errors"]["file_id"][0]
    theirs = client.post(REFRESH, json={"file_id": file_id}, headers=bob)
    assert "no such file" in theirs.json["errors"]["file_id"][0]


def as_form(content: bytes, name: str, content_type: str) -> dict[str, Any]:
    return {"data": {"file": (io.BytesIO(content), name, content_type)}}


REFUSED_TYPES = {
    "a type that is not taken": {"data": b"<html>", "content_type": "text/html"},
    "no type and no name": {"data": b"x"},
    "a name of another type": {"data": b"x", "content_type": "text/csv", "query_string": {"name": "x.html"}},
    "a program as a table": {"data": b"\x7fELF\x02\x01", "content_type": "text/csv"},
    "a form of a type that is not taken": as_form(b"<html>", "page.html", "text/html"),
    "a form with a program as a table": as_form(b"\x7fELF\x02\x01", "parts.csv", "text/csv"),
}


@pytest.mark.parametrize("case", REFUSED_TYPES)
def test_a_type_that_is_not_taken(
    case: str, installation: Installation, client: FlaskClient, ann: dict[str, str], rules: Uploads
) -> None:
    rules.rules = replace(rules.rules, types=("text/csv", "image/*"))
    sent, before = REFUSED_TYPES[case], installation.what_is_kept()
    if "query_string" not in sent:
        sent = {**sent, "query_string": {}}

    answer = client.post(f"{API}/files", headers=ann, **{**sent, "data": _fresh(sent["data"])})

    assert_problem(answer, 415)
    assert "text/csv, image/*" in answer.json["detail"]
    assert installation.what_is_kept() == before


def _fresh(data: Any) -> Any:
    """A form's file that can be sent again."""
    if isinstance(data, bytes):
        return data
    stream, *rest = data["file"]
    return {"file": (io.BytesIO(stream.getvalue()), *rest)}


def test_a_type_that_is_taken(client: FlaskClient, ann: dict[str, str], rules: Uploads) -> None:
    rules.rules = replace(rules.rules, types=("text/csv",))

    vague = as_form(b"a,b\n", "a.csv", "application/octet-stream")
    for sent in ({"data": b"a,b\n", "content_type": "text/csv"}, vague):
        assert client.post(f"{API}/files", headers=ann, **sent).status_code == 201


@pytest.mark.parametrize("form", [True, False], ids=["form", "body"])
def test_more_bytes_than_one_may_have_together(
    form: bool, installation: Installation, client: FlaskClient, rules: Uploads
) -> None:
    dora = installation.headers("dora")
    rules.rules = replace(rules.rules, quota=1000)
    sent = {"data": {"file": (io.BytesIO(b"x" * 900), "a")}} if form else {"data": b"x" * 900}
    with installation.app.app_context():
        db.session.query(UploadedFile).filter_by(owner="dora").delete()
        db.session.commit()
    assert client.post(f"{API}/files", data=b"x" * 200, headers=dora).status_code == 201
    before = installation.what_is_kept()

    answer = client.post(f"{API}/files", headers=dora, **sent)

    assert_problem(answer, 413)
    assert "1,000 bytes together" in answer.json["detail"]
    assert installation.what_is_kept() == before


def test_a_full_disk_is_said_and_nothing_of_the_file_stays(
    installation: Installation, client: FlaskClient, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installation.what_is_kept()

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    answer = client.post(f"{API}/files", data=b"x", headers=ann)

    assert_problem(answer, 507)
    assert installation.what_is_kept() == before


def test_a_storage_that_is_away_is_said_with_retry_after(
    installation: Installation, client: FlaskClient, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = installation.upload("ann")

    def fail(*_: object) -> None:
        raise StorageUnavailableError("no")

    uploads: Any = installation.app.extensions["uploads"]
    monkeypatch.setattr(uploads._storage, "open", fail)

    answer = client.get(f"{API}/files/{file_id}/content", headers=ann)

    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_file_that_is_not_there_any_more_is_gone(
    installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    file_id = installation.upload("ann")
    (installation.folder / "var" / "files" / "uploads" / file_id).unlink()

    assert_problem(client.get(f"{API}/files/{file_id}/content", headers=ann), 410)
    assert_problem(client.get(f"{API}/files/{uuid4()}/content", headers=ann), 404)
