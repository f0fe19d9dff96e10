"""schemathesis against the real service: every answer is one that the OpenAPI document promises."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.api_keys import Scope
from tests.installation import API, PATIENT, ApiServer, Installation, an_installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SCOPES = set(Scope) - {Scope.ADMIN}

SETTINGS = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # Every wait is tried, and none is waited for: WAITERS says that nobody is held.
    # Nor is it about a disk that is slow to sync, which the API answers with 503.
    # Webhooks to made-up hosts are queued where nobody sends them.
    settings = {"WAITERS": "0", "WEBHOOK_QUEUE": "unsent", **PATIENT}
    with an_installation(tmp_path_factory.mktemp("openapi"), **settings) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


def write_settings(installation: Installation, folder: Path) -> Path:
    """The settings of this directory, with two principals that must not see each other's jobs and files."""
    users = [
        {
            "name": name,
            "fixedHeaders": [
                {"name": "Authorization", "value": installation.headers(name, *SCOPES)["Authorization"]}
            ],
        }
        for name in ("ann", "bob")
    ]
    keys = folder / "keys.yaml"
    keys.write_text(yaml.safe_dump({"auth": users}))
    settings = folder / "schemathesis.toml"
    settings.write_text(f'{SETTINGS.read_text()}\n[auth.wfc]\npath = "{keys}"\npeers = ["ann", "bob"]\n')
    return settings


def test_every_answer_conforms(installation: Installation, server: ApiServer, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [
            *(
                Path(sys.executable).with_name("schemathesis"),
                "--config-file",
                write_settings(installation, tmp_path),
            ),
            *("run", f"{server.url}{API}/openapi.json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout[-6000:] + outcome.stderr
    print(outcome.stdout)
    # What shows that it did work: every operation, all four phases, a good many cases and links between operations.
    assert "Tested: 44" in outcome.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅\s+{phase}", outcome.stdout), phase
    generated = re.search(r"(\d+) generated, (\d+) passed", outcome.stdout)
    assert generated is not None
    assert generated[1] == generated[2]
    assert int(generated[1]) > 500
    links = re.search(r"(\d+) covered / \d+ selected", outcome.stdout)
    assert links is not None
    assert int(links[1]) > 10
    assert "Unhandled error" not in server.log
