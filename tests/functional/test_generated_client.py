"""A client generated from the OpenAPI document, by openapi-python-client, does what a client has to do."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.installation import API, ApiServer, Installation, an_installation

PACKAGE = "generated_taskgate_client"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("generated")) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


@pytest.fixture(scope="module")
def generated(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generated package: ``generated("api.results.get_result")`` is one of its modules."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    document.write_bytes(httpx.get(f"{server.url}{API}/openapi.json").content)
    settings = folder / "settings.json"  # NDJSON is sent as it is, which the generator has to be told
    settings.write_text(
        '{"content_type_overrides": {"application/x-ndjson": "application/octet-stream"}, "post_hooks": []}'
    )
    # Anything that the generator cannot express is a warning, and leaves a hole in the client.
    outcome = subprocess.run(
        [
            *(Path(sys.executable).with_name("openapi-python-client"), "generate", "--fail-on-warning"),
            *("--config", settings, "--path", document, "--meta", "none", "--output-path", folder / PACKAGE),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    sys.path.insert(0, str(folder))
    try:
        yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture
def client(installation: Installation, server: ApiServer, generated: Any) -> Iterator[Any]:
    token = installation.headers("ann")["Authorization"].removeprefix("Bearer ")
    with generated("client").AuthenticatedClient(base_url=server.url, token=token) as client:
        yield client


def poll(get_result: ModuleType, client: Any, task_id: str) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        result = get_result.sync(task_id, client=client, wait=10)
        if result.ready:
            return result
    pytest.fail("the job did not end")


def test_it_submits_with_typed_params_and_polls(client: Any, generated: Any) -> None:
    submit = generated("api.maintenance.submit_maintenance_adds")
    params = generated("models.submit_maintenance_adds_body").SubmitMaintenanceAddsBody(a=19, b=23)

    submitted = submit.sync(client=client, body=params, idempotency_key="one")
    again = submit.sync(client=client, body=params, idempotency_key="one")
    result = poll(generated("api.results.get_result"), client, submitted.task_id)

    assert again.task_id == submitted.task_id
    assert (result.state.value, result.result, result.successful) == ("SUCCESS", 42, True)


def test_it_reads_an_error_as_a_problem(client: Any, generated: Any) -> None:
    answer = generated("api.results.get_result").sync_detailed("none", client=client)

    assert answer.status_code is HTTPStatus.NOT_FOUND
    assert answer.parsed.status == 404
    assert answer.parsed.detail.endswith(".")


def test_it_uploads_a_file_runs_a_job_on_it_and_downloads_what_that_wrote(client: Any, generated: Any) -> None:
    table = BytesIO(b"code,name,add_time\nA-1,bolt,2026-11-02\n,no code,2026-11-02\n")
    body = generated("models.post_file_list_files_body").PostFileListFilesBody(
        file=generated("types").File(payload=table, file_name="parts.csv", mime_type="text/csv")
    )
    upload = generated("api.files.post_file_list").sync(client=client, body=body)
    submit = generated("api.maintenance.submit_maintenance_refresh_onboard_table")
    params = submit.SubmitMaintenanceRefreshOnboardTableBody.from_dict({"file_id": upload.file_id})

    result = poll(generated("api.results.get_result"), client, submit.sync(client=client, body=params).task_id)
    assert result.state.value == "SUCCESS", result
    assert result.state.value == "SUCCESS", result
    name = result.files[0].name
    rejected = generated("api.results.get_result_file").sync(result.task_id, name, client=client)

    assert b"no code" in rejected.payload.read()
