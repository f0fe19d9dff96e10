"""Hostile clients of a real gunicorn, and files that a real worker cannot take."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import ENOTCONN
from pathlib import Path
from random import Random

import httpx
import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.jobs.maintenance.models import Part
from tests.conftest import wait_until
from tests.installation import API, ApiServer, Installation, an_installation, assert_problem

MAX_UPLOAD = 11 * 1024**2


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("http"), MAX_UPLOAD=str(MAX_UPLOAD)) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


@pytest.fixture(scope="module", params=["fast", pytest.param("python", marks=pytest.mark.long)])
def server(installation: Installation, request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """With gunicorn's parser in C, and with its own, which it takes where that could not be built."""
    if request.param == "fast":
        pytest.importorskip("gunicorn_h1c")
    installation.environment["GUNICORN_CMD_ARGS"] = f"--http-parser {request.param}"
    server = installation.start_api()
    yield server
    server.stop()


@pytest.fixture
def api(installation: Installation, server: ApiServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=installation.headers(), timeout=20) as client:
        yield client


def uploads(installation: Installation) -> list[Path]:
    return [path for path in (installation.folder / "var").rglob("*") if path.is_file() and "uploads" in path.parts]


CATALOGUES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "a header without the columns": (b"colour,size\nred,1\n", ("code", "name")),
    "a header alone twice": (b"code,code,name\n1,2,x\n", ("code",)),
    "an encoding that is none": (b"code,name\nA-1,\x81\x8d\x8f\x90\x9d\xff\xfe\xfa\n", ()),
    "ten megabytes of garbage": (Random(1).randbytes(10 * 1024**2), ()),
    "a workbook that is none": (b"PK\x03\x04" + Random(1).randbytes(2000), ()),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_that_cannot_be_read_fails_with_a_sentence_and_no_row(
    name: str, api: httpx.Client, installation: Installation
) -> None:
    content, words = CATALOGUES[name]
    uploaded = api.post(f"{API}/files", params={"name": "parts.csv"}, content=content)
    assert uploaded.status_code == 201, uploaded.text

    submitted = api.post(
        f"{API}/tasks/maintenance.refresh_onboard_table/jobs", json={"file_id": uploaded.json()["file_id"]}
    )
    assert submitted.status_code == 202, submitted.text
    wait_until(lambda: api.get(submitted.headers["Location"]).json()["ready"], timeout=60, what="the job")

    job = api.get(submitted.headers["Location"]).json()
    assert (job["state"], job["successful"], job["result"]) == ("FAILURE", False, None), job
    message = job["error"]["message"]
    print(f"\n{name}: {job['error']}")
    assert len(message.split()) > 4
    assert message.endswith(".")
    assert len(message) < 500
    assert message.isprintable()
    assert all(word in message for word in words)
    assert not any(word in message for word in ("Traceback", "Error(", "0x", str(installation.folder), "codec"))
    with installation.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Part)) == 0


@pytest.mark.parametrize("size", [MAX_UPLOAD + 1, MAX_UPLOAD + 2 * 1024**2])
@pytest.mark.parametrize("way", ["content-length", "chunked", "form"])
def test_an_upload_that_is_too_large_leaves_nothing(
    way: str, size: int, api: httpx.Client, installation: Installation
) -> None:
    before = uploads(installation)

    match way:
        case "content-length":
            answer = api.post(f"{API}/files", content=b"x" * size)
        case "chunked":
            answer = api.post(f"{API}/files", content=(b"x" * 65536 for _ in range(size // 65536 + 1)))
        case _:
            answer = api.post(f"{API}/files", files={"file": ("a.csv", b"x" * size)})

    assert_problem(answer, 413)
    assert uploads(installation) == before


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("filler", [b"x", b" "], ids=["cut in a string", "cut in white space"])
def test_a_json_body_that_is_too_large(chunked: bool, filler: bytes, api: httpx.Client) -> None:
    chunks = (b'{"a": 1, "b": 2}' if filler == b" " else b'{"a": 1, "b": 2, "c": "', *[filler * 65536] * 32)
    content = iter(chunks) if chunked else b"".join(chunks)
    headers = {"Content-Type": "application/json"}

    answer = api.post(f"{API}/tasks/maintenance.adds/jobs", content=content, headers=headers)

    assert_problem(answer, 413)


def talk(server: ApiServer, sent: bytes, *, hang_up: bool = False) -> bytes:
    """Send raw bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(65536):
                answer += received
        except OSError as error:  # it may close on us before we have said everything
            if not isinstance(error, ConnectionError) and error.errno != ENOTCONN:
                raise
        return answer


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_an_upload_whose_client_goes_away_leaves_nothing(
    chunked: bool, api: httpx.Client, server: ApiServer, installation: Installation
) -> None:
    before, rows = uploads(installation), installation.what_is_kept()["rows of uploaded_files"]
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 100000"
    body = b"186A0\r\nhalf of it" if chunked else b"half of it"
    head = b"POST /api/1.0/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\n%s\r\n\r\n"

    answer = talk(server, head % (api.headers["Authorization"].encode(), length) + body, hang_up=True)

    assert b" 201 " not in answer
    assert uploads(installation) == before
    assert installation.what_is_kept()["rows of uploaded_files"] == rows
    assert api.get("/healthz").status_code == 200


RAW: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "nothing": (b"", (b"",)),
    "bytes": (Random(1).randbytes(4096) + b"\r\n\r\n", (b"400",)),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + Random(1).randbytes(500), (b"400", b"")),
    "an overlong request line": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (b"400", b"414")),
    "an overlong header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", (b"400", b"431")),
    "500 headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n", (b"400", b"431")),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", (b"400",)),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", (b"400",)),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", (b"400",)),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (b"400",),
    ),
    "a body nobody reads": (
        b"POST /api/1.0/batches HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000,
        (b"401",),
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (b"400", b"505")),
}


@pytest.mark.parametrize("name", RAW)
def test_garbage_on_the_socket_kills_nothing(name: str, api: httpx.Client, server: ApiServer) -> None:
    sent, statuses = RAW[name]

    answer = talk(server, sent, hang_up=True)

    assert answer.split(b" ")[1 if answer else 0][:3] in statuses, answer[:200]
    assert api.get("/healthz").status_code == 200
    assert server.process.poll() is None


def test_clients_that_send_half_a_request_and_stay_hold_up_nobody(api: httpx.Client, server: ApiServer) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")

        assert api.get("/healthz", timeout=5).status_code == 200
    finally:
        for connection in slow:
            connection.close()

    assert api.get("/healthz", timeout=5).status_code == 200


def test_the_log_has_no_unhandled_error(api: httpx.Client, server: ApiServer) -> None:
    """After everything above."""
    assert api.get("/healthz").status_code == 200
    assert "Unhandled error" not in server.log
    assert "Traceback" not in server.log
