"""``results/{task_id}`` and its files, with jobs that a real worker has run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from app.api_keys import Scope
from tests.conftest import wait_until
from tests.installation import API, Installation, an_installation, assert_problem


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("results")) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


def run(installation: Installation, headers: dict[str, str], task: str, params: dict[str, Any]) -> dict[str, Any]:
    """Submit over HTTP and poll until it is final."""
    client = installation.client
    submitted = client.post(f"{API}/tasks/{task}/jobs", json=params, headers=headers)
    assert submitted.status_code == 202, submitted.text
    address = submitted.headers["Location"]
    wait_until(lambda: client.get(address, headers=headers).json["ready"], what=task)
    job: dict[str, Any] = client.get(address, headers=headers).json
    return job


@pytest.fixture(scope="module")
def parts(installation: Installation, ann: dict[str, str]) -> str:
    """The file id of a catalogue with one row that cannot be taken."""
    catalogue = b"code,name,price\nA-1,Bolt M8x40,0.20\nA-2,Bolt M8 x 40,0.21\nA-3,Washer,much\n"
    answer = installation.client.post(f"{API}/files?name=parts.csv", data=catalogue, headers=ann)
    file_id: str = answer.json["file_id"]
    return file_id


@pytest.fixture(scope="module")
def refreshed(installation: Installation, ann: dict[str, str], parts: str) -> dict[str, Any]:
    return run(installation, ann, "maintenance.refresh_onboard_table", {"file_id": parts})


def test_a_successful_job(installation: Installation, ann: dict[str, str]) -> None:
    job = run(installation, ann, "maintenance.adds", {"a": 40, "b": 2})
    answer = installation.client.get(job["links"]["result"], headers=ann)

    assert (job["state"], job["ready"], job["successful"], job["result"]) == ("SUCCESS", True, True, 42)
    assert job["error"] is None
    assert job["files"] == []
    assert set(job["links"]) == {"result", "events", "logs", "retry"}
    assert "Retry-After" not in answer.headers
    moments = [
        datetime.fromisoformat(job[name]) for name in ("submitted_at", "started_at", "finished_at", "expires_at")
    ]
    assert moments == sorted(moments)
    assert all(job[name].endswith("Z") for name in ("submitted_at", "started_at", "finished_at", "expires_at"))
    assert (moments[3] - moments[2]).total_seconds() == pytest.approx(86_400, abs=5)


def test_a_failed_job_is_a_200_with_a_readable_error_and_no_traceback(
    installation: Installation, ann: dict[str, str]
) -> None:
    upload = installation.client.post(f"{API}/files?name=x.csv", data=b"colour,size\nred,1\n", headers=ann)

    job = run(installation, ann, "maintenance.refresh_onboard_table", {"file_id": upload.json["file_id"]})

    assert (job["state"], job["ready"], job["successful"], job["result"]) == ("FAILURE", True, False, None)
    assert job["error"].keys() == {"type", "message"}
    assert "code" in job["error"]["message"]
    assert job.keys().isdisjoint({"traceback", "owner"})


def test_only_an_admin_sees_the_traceback(installation: Installation, ann: dict[str, str]) -> None:
    upload = installation.client.post(f"{API}/files?name=x.csv", data=b"colour,size\nred,1\n", headers=ann)
    job = run(installation, ann, "maintenance.refresh_onboard_table", {"file_id": upload.json["file_id"]})

    seen = installation.client.get(job["links"]["result"], headers=installation.headers("root", Scope.ADMIN)).json

    assert "Traceback" in seen["traceback"]
    assert seen["owner"] == "ann"
    listed = installation.client.get(f"{API}/jobs", headers=ann)
    assert "Traceback" not in listed.text


def test_a_running_job_shows_its_progress(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    installation.backend.store_state(task_id, {"current": 1, "total": 2, "message": "x"}, "PROGRESS")

    answer = installation.client.get(f"{API}/results/{task_id}", headers=ann)

    assert answer.headers["Retry-After"] == "1"
    assert (answer.json["state"], answer.json["ready"], answer.json["successful"]) == ("PROGRESS", False, None)
    assert answer.json["result"] is None
    assert set(answer.json["links"]) == {"result", "events", "logs", "cancel"}


def test_a_finished_job_keeps_its_last_progress(refreshed: dict[str, Any]) -> None:
    assert refreshed["state"] == "SUCCESS"
    assert refreshed["progress"].keys() == {"current", "total", "message"}
    assert refreshed["progress"]["current"] > 0


def test_the_files_of_a_job_are_served_as_attachments(
    installation: Installation, ann: dict[str, str], refreshed: dict[str, Any]
) -> None:
    (file,) = refreshed["files"]

    with installation.client.get(file["url"], headers=ann) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == file["content_type"] == "text/csv"
        assert len(answer.data) == file["size"]
        rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert file["url"] == f"{refreshed['links']['result']}/files/rejected.csv"
    assert len(rows) == 1


def test_a_download_can_go_on_where_it_broke_off(
    installation: Installation, ann: dict[str, str], refreshed: dict[str, Any]
) -> None:
    (file,) = refreshed["files"]
    client = installation.client
    with client.get(file["url"], headers=ann) as answer:
        whole, etag = answer.data, answer.headers["ETag"]

    with client.get(file["url"], headers={**ann, "Range": "bytes=5-"}) as rest:
        assert (rest.status_code, rest.data) == (206, whole[5:])
    with client.get(file["url"], headers={**ann, "If-None-Match": etag}) as same:
        assert (same.status_code, same.data) == (304, b"")
    beyond = client.get(file["url"], headers={**ann, "Range": f"bytes={len(whole) + 1}-"})
    assert_problem(beyond, 416)


@pytest.mark.parametrize("name", ["pairs.csv", "../rejected.csv", "%2e%2e", "rejected.csv%00", "REJECTED.CSV", "."])
def test_a_file_that_the_job_does_not_have(
    name: str, installation: Installation, ann: dict[str, str], refreshed: dict[str, Any]
) -> None:
    assert_problem(installation.client.get(f"{refreshed['links']['result']}/files/{name}", headers=ann), 404)


def test_the_files_are_the_owners(installation: Installation, bob: dict[str, str], refreshed: dict[str, Any]) -> None:
    url = refreshed["files"][0]["url"]

    assert_problem(installation.client.get(url, headers=bob), 404)
    with installation.client.get(url, headers=installation.headers("root", Scope.ADMIN)) as answer:
        assert answer.status_code == 200


def test_a_file_that_was_removed_is_gone(installation: Installation, ann: dict[str, str]) -> None:
    job = run(installation, ann, "maintenance.match_self_table", {})
    (file,) = job["files"]
    (path,) = (path for path in (installation.folder / "var" / "files" / "jobs").rglob("*-pairs.csv"))
    path.unlink()

    assert_problem(installation.client.get(file["url"], headers=ann), 410)
