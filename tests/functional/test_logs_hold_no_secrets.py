"""Whatever is asked for, and however: no key and no access token is in gunicorn's logs or in the worker's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import wait_until
from tests.installation import API, ApiServer, Installation, an_installation, bearer


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    options = (
        '--access-logfile - --log-level debug --access-logformat \'%(r)s %(U)s "%(q)s" "%(f)s" %({authorization}i)s\''
    )
    with an_installation(tmp_path_factory.mktemp("logs"), GUNICORN_CMD_ARGS=options) as installation:
        yield installation


def malformed(server: ApiServer, request_line: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{request_line}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_no_secret_is_logged(installation: Installation) -> None:
    server = installation.start_api()
    worker = installation.start_worker("--pool", "solo", "--loglevel", "DEBUG")
    headers = installation.headers("ann")
    key = headers["Authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=f"{server.url}{API}", timeout=30) as client:
        job = client.post("/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers).json()
        token = job["access_token"]
        result, job_url = f"/results/{job['task_id']}", f"/jobs/{job['task_id']}"
        by_token = {"access_token": token}
        hook = "https://example.com/hook/t0ps3cret"
        told = client.post("/tasks/maintenance.adds/jobs?webhook=" + hook, json={"a": 1, "b": 2}, headers=headers)
        assert told.status_code == 202
        wait_until(lambda: client.get(result, params=by_token).json()["ready"], timeout=60, what="the job")
        encoded = "".join(f"%{byte:02x}" for byte in token.encode())

        statuses = [
            client.get(result, headers=bearer(token)).status_code,
            client.get(f"{result}?access%5Ftoken={token}").status_code,
            client.get(f"{result}?%61ccess_token={encoded}").status_code,
            client.get(
                result, headers={**bearer(token), "Referer": f"http://h{result}?access_token={token}"}
            ).status_code,
            client.get(result, params=by_token, headers=headers).status_code,
            client.get(result, params={"access_token": token + "x"}).status_code,
            client.get(result, params={"access_token": key}).status_code,
            client.get(f"{result}?access%5Ftoken={key.split('_', 2)[2]}").status_code,
            client.get(result, params={"key": key}, headers=headers).status_code,
            client.get("/tasks", params=by_token, headers=headers).status_code,
            client.get(f"/results/{token}", headers=headers).status_code,
            client.get(f"/nowhere/{key}", params=by_token).status_code,
            client.delete(job_url, params=by_token, headers=headers).status_code,
            client.delete(job_url, headers=bearer(token)).status_code,
        ]
    malformed(server, f"GET {API}{result}?access_token={token} nonsense")
    malformed(server, f"GET{API}{result}?access_token={token}")

    assert statuses == [200, 200, 200, 200, 400, 401, 401, 401, 422, 422, 404, 404, 422, 409]
    wait_until(lambda: "nowhere" in server.log, what="the access log")
    # The logs are there, with everything but the secrets.
    assert f"GET {API}{result}?access_token=[hidden] HTTP/1.1" in server.log
    assert "access%5Ftoken=[hidden]" in server.log
    assert "webhook=[hidden]" in server.log
    assert "Invalid request" in server.log
    assert job["task_id"] in worker.log
    logs = [server.log_path, worker.log_path, *installation.folder.rglob("*.log")]
    for path in logs:
        text = path.read_text(errors="replace")
        for secret in (token, token.rpartition(".")[2], encoded, key, key.split("_", 2)[2], "t0ps3cret"):
            assert secret not in text, (path.name, [line for line in text.splitlines() if secret in line])
