"""The same service with its files in S3: moto's simulation of it, which speaks the protocol over TCP.

gunicorn's process is patched by gevent, and the worker forks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.extensions import db
from app.models import UploadedFile
from tests.conftest import wait_until
from tests.functional.file_traffic import MEGABYTE, api_process, byte_range, peak_growth, pieces, upload_under_way
from tests.installation import API, ApiServer, Installation, an_installation, assert_problem, bearer
from tests.s3_server import S3Server, s3_server

pytestmark = pytest.mark.long

SIZE = 40  # MB

CATALOGUE = b"code,name,price\nA-1,Bolt,0.20\nA-2,Washer,much\n"

#: Seconds; long enough for a job to be looked at, on a busy machine too.
RESULT_EXPIRES, UPLOAD_EXPIRES = 20, 15


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def installation(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    moved = {
        "RESULT_EXPIRES": str(RESULT_EXPIRES),
        "UPLOAD_EXPIRES": str(UPLOAD_EXPIRES),
        "FILE_SWEEP_INTERVAL": "0.5",
        "DEPLOYMENT": "acme",
    }
    with an_installation(tmp_path_factory.mktemp("s3"), **s3.settings("a/prefix"), **moved) as installation:
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    installation.start_worker("--pool", "prefork", "--concurrency", "2")
    return installation.start_api()


@pytest.fixture(scope="module")
def ann(installation: Installation) -> dict[str, str]:
    return installation.headers("ann")


@pytest.fixture(scope="module")
def api(server: ApiServer, ann: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=ann, timeout=60) as client:
        yield client


def refresh(api: httpx.Client, file_id: str) -> dict[str, Any]:
    submitted = api.post(f"{API}/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": file_id})
    assert submitted.status_code == 202, submitted.text
    address = submitted.json()["links"]["result"]
    wait_until(lambda: api.get(address).json()["ready"], timeout=60, what="the job")
    result: dict[str, Any] = api.get(address).json()
    assert result["state"] == "SUCCESS", result
    return {**result, "access_token": submitted.json()["access_token"]}


def test_a_job_reads_its_input_and_leaves_its_file_and_all_expires(
    api: httpx.Client, s3: S3Server, installation: Installation
) -> None:
    before = s3.keys()
    file_id = api.post(f"{API}/files", params={"name": "teile.csv"}, content=CATALOGUE).json()["file_id"]
    job = refresh(api, file_id)

    upload, result = f"a/prefix/@acme/uploads/{file_id}", f"a/prefix/@acme/jobs/{job['task_id']}/"
    made = set(s3.keys()) - set(before)
    assert upload in made
    assert any(key.startswith(result) and key.endswith("-rejected.csv") for key in made)
    (file,) = job["files"]
    assert api.get(f"{API}/files/{file_id}/content").content == CATALOGUE
    with httpx.Client(base_url=api.base_url, headers=bearer(job["access_token"])) as holder:
        assert holder.get(file["url"]).status_code == 200
        assert len(holder.get(file["url"], headers={"Range": "bytes=5-9"}).content) == 5

    wait_until(lambda: not set(s3.keys()) & made, timeout=90, what="the sweep")
    assert_problem(api.get(f"{API}/files/{file_id}"), 410)
    assert_problem(api.get(file["url"]), 410)
    again = api.post(f"{API}/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": file_id})
    assert_problem(again, 422, "file_id")
    assert "expired" in again.json()["errors"]["file_id"][0]
    assert list((installation.folder / "var" / "files").rglob("*-rejected.csv")) == []


def test_a_large_file_comes_and_goes_in_bounded_memory(api: httpx.Client, server: ApiServer, s3: S3Server) -> None:
    with peak_growth(api_process(server)) as growth:
        uploaded = api.post(f"{API}/files", content=pieces(SIZE))
        address, size = f"{API}/files/{uploaded.json()['file_id']}/content", 0
        with api.stream("GET", address) as answer:
            for chunk in answer.iter_raw():
                size += len(chunk)

    assert (uploaded.status_code, size) == (201, SIZE * MEGABYTE)
    assert s3.unfinished() == []
    middle = f"bytes={23 * MEGABYTE - 5}-{23 * MEGABYTE + 4}"
    assert api.get(address, headers={"Range": middle}).content == byte_range(23 * MEGABYTE - 5, 10)
    assert api.delete(address.removesuffix("/content")).status_code == 204
    assert growth[0] < 30  # MB: a part, the libraries, and nothing of the file


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    server: ApiServer, s3: S3Server, ann: dict[str, str], installation: Installation
) -> None:
    begun = b"".join(pieces(8))
    with upload_under_way(server, ann["Authorization"], begun, length=20 * MEGABYTE):
        wait_until(lambda: len(s3.unfinished()) == 1, what="the first part")

    wait_until(lambda: not s3.unfinished(), what="the upload's end")
    wait_until(lambda: not coming_in(installation), what="the end of its row")


def coming_in(installation: Installation) -> int:
    with installation.app.app_context():
        return db.session.query(UploadedFile).filter(UploadedFile.used_at.is_(None)).count()


def test_what_a_killed_api_process_has_left_is_swept(
    server: ApiServer, s3: S3Server, ann: dict[str, str], installation: Installation
) -> None:
    with upload_under_way(server, ann["Authorization"], b"".join(pieces(8)), length=20 * MEGABYTE):
        wait_until(lambda: len(s3.unfinished()) == 1, what="the first part")
        api_process(server).kill()
        time.sleep(1.5)  # several sweeps, which see that it was alive a moment ago
        assert len(s3.unfinished()) == 1

    with installation.app.app_context():
        long_ago = datetime.now(UTC) - timedelta(minutes=11)
        db.session.execute(update(UploadedFile).where(UploadedFile.used_at.is_(None)).values(created_at=long_ago))
        db.session.commit()

    wait_until(lambda: not s3.unfinished(), timeout=60, what="the sweep")


def test_the_logs_have_no_unhandled_error(server: ApiServer, installation: Installation) -> None:
    """After everything above."""
    assert "Unhandled error" not in server.log
    assert "Traceback" not in server.log
    assert "could not be removed" not in (installation.folder / "worker.log").read_text()
