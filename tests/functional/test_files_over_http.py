"""Files through a real gunicorn and a real worker, on a disk."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.extensions import db
from app.models import UploadedFile
from tests.conftest import wait_until
from tests.functional.file_traffic import MEGABYTE, api_process, byte_range, peak_growth, pieces, upload_under_way
from tests.installation import API, ApiServer, Installation, an_installation, assert_problem

pytestmark = pytest.mark.long

SIZE = 200  # MB

#: MB by which an API process may grow while it takes or gives a file, however large that is.
BOUND = 20

PIECE_OF_ONE = next(pieces(1))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("files"), FILE_SWEEP_INTERVAL="0.5") as installation:
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


@pytest.fixture(scope="module")
def ann(installation: Installation) -> dict[str, str]:
    return installation.headers("ann")


@pytest.fixture(scope="module")
def api(server: ApiServer, ann: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=ann, timeout=60) as client:
        yield client


def stored(installation: Installation) -> list[Path]:
    return [path for path in (installation.folder / "var" / "files").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def large(api: httpx.Client, server: ApiServer) -> str:
    """The id of a file of 200 MB, and what it took to upload it."""
    with peak_growth(api_process(server)) as growth:
        uploaded = api.post(f"{API}/files", params={"name": "large.bin"}, content=pieces(SIZE))

    assert uploaded.status_code == 201, uploaded.text
    assert uploaded.json()["size"] == SIZE * MEGABYTE
    digest = sha256()
    for piece in pieces(SIZE):
        digest.update(piece)
    assert uploaded.json()["sha256"] == digest.hexdigest()
    assert growth[0] < BOUND
    file_id: str = uploaded.json()["file_id"]
    return file_id


def test_a_large_file_is_taken_in_bounded_memory(large: str, api: httpx.Client) -> None:
    """What it took is looked at where it is uploaded."""
    assert api.get(f"{API}/files/{large}").json()["size"] == SIZE * MEGABYTE


def test_a_large_form_is_taken_in_bounded_memory_and_stored_once(
    server: ApiServer, installation: Installation, ann: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        for piece in pieces(SIZE // 2):
            file.write(piece)
    command = ["curl", "-sS", "-H", f"Authorization: {ann['Authorization']}", "-F", f"file=@{source}"]

    with peak_growth(api_process(server)) as growth:
        answer = subprocess.run(
            [*command, f"{server.url}{API}/files"], check=True, capture_output=True, text=True, timeout=120
        )

    assert f'"size": {SIZE // 2 * MEGABYTE}' in answer.stdout, answer.stdout
    assert growth[0] < BOUND
    assert not [path for path in stored(installation) if path.name.startswith(".partial-")]


def test_a_download_that_broke_off_is_taken_up_by_curl_in_bounded_memory(
    large: str, server: ApiServer, ann: dict[str, str], tmp_path: Path
) -> None:
    target, begun = tmp_path / "large.bin", 50 * MEGABYTE + 17
    target.write_bytes(byte_range(0, begun))
    command = ["curl", "-sS", "-f", "-C", "-", "-o", str(target), "-H", f"Authorization: {ann['Authorization']}"]

    with peak_growth(api_process(server)) as growth:
        subprocess.run([*command, f"{server.url}{API}/files/{large}/content"], check=True, timeout=120)

    with target.open("rb") as file:
        assert all(file.read(MEGABYTE) == piece for piece in pieces(SIZE))
        assert file.read() == b""
    assert growth[0] < BOUND


def test_the_whole_file_goes_out_in_bounded_memory(large: str, api: httpx.Client, server: ApiServer) -> None:
    size = 0
    with peak_growth(api_process(server)) as growth, api.stream("GET", f"{API}/files/{large}/content") as answer:
        assert answer.headers["Content-Length"] == str(SIZE * MEGABYTE)
        for chunk in answer.iter_raw():
            size += len(chunk)

    assert (size, growth[0] < BOUND) == (SIZE * MEGABYTE, True)


def test_a_range_over_http(large: str, api: httpx.Client) -> None:
    first = 123 * MEGABYTE - 5

    answer = api.get(f"{API}/files/{large}/content", headers={"Range": f"bytes={first}-{first + 9}"})

    assert (answer.status_code, answer.content) == (206, byte_range(first, 10))
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + 9}/{SIZE * MEGABYTE}"
    head = api.head(f"{API}/files/{large}/content")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(SIZE * MEGABYTE))
    assert_problem(api.get(f"{API}/files/{large}/content", headers={"Range": f"bytes={SIZE * MEGABYTE}-"}), 416)


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    chunked: bool, server: ApiServer, installation: Installation, ann: dict[str, str]
) -> None:
    """After whole chunks too, where nothing but the missing last one tells that there was to be more."""
    before, kept = stored(installation), installation.what_is_kept()["rows of uploaded_files"]
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10 * MEGABYTE}"
    body = f"{MEGABYTE:x}\r\n".encode() + PIECE_OF_ONE + b"\r\n" if chunked else PIECE_OF_ONE
    head = f"POST {API}/files HTTP/1.1\r\nHost: x\r\nAuthorization: {ann['Authorization']}\r\n{length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: len(stored(installation)) > len(before), what="the upload's beginning")

    wait_until(lambda: stored(installation) == before, what="the upload's end")
    wait_until(lambda: installation.what_is_kept()["rows of uploaded_files"] == kept, what="the end of its row")


def test_what_a_killed_api_process_has_left_is_swept(
    server: ApiServer, installation: Installation, ann: dict[str, str], api: httpx.Client
) -> None:
    before, rows = set(stored(installation)), installation.what_is_kept()["rows of uploaded_files"]
    with upload_under_way(server, ann["Authorization"], PIECE_OF_ONE, length=10 * MEGABYTE):
        wait_until(lambda: set(stored(installation)) - before, what="the upload's beginning")
        api_process(server).kill()
        wait_until(lambda: answers(api), timeout=60, what="the next API process")
    (partial,) = set(stored(installation)) - before
    assert installation.what_is_kept()["rows of uploaded_files"] == rows + 1  # type: ignore[operator]

    # An hour later.
    os.utime(partial, (time.time() - 90_000, time.time() - 90_000))
    with installation.app.app_context():
        long_ago = datetime.now(UTC) - timedelta(hours=25)
        db.session.execute(update(UploadedFile).where(UploadedFile.used_at.is_(None)).values(created_at=long_ago))
        db.session.commit()
    installation.start_worker("--pool", "solo")

    wait_until(lambda: set(stored(installation)) == before, timeout=60, what="the sweep")


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_log_has_no_unhandled_error(api: httpx.Client, server: ApiServer) -> None:
    """After everything above."""
    assert api.get("/healthz").status_code == 200
    assert "Unhandled error" not in server.log
    assert "Traceback" not in server.log
