"""Clients of a server: one that is started for these tests or, with TASKGATE_URL and TASKGATE_KEY, one that runs.

So they are run against ``make run`` too: nothing is started then, and tests that stop processes are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.api_keys import Scope, create_key
from app.extensions import db
from libs.job_client import AsyncJobClient, JobClient
from tests.installation import ApiServer, Installation, an_installation
from tests.job_client.blocking import Blocking


@dataclass
class Server:
    url: str
    key: str
    installation: Installation | None = None
    api: ApiServer | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].strip("/"))


def make_key(installation: Installation, name: str, *scopes: Scope) -> str:
    with installation.app.app_context():
        key = create_key(db.session(), name, set(scopes) or set(Scope))
        db.session.commit()
    return key


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if "TASKGATE_URL" in os.environ:
        yield Server(os.environ["TASKGATE_URL"], os.environ["TASKGATE_KEY"])
        return
    with an_installation(tmp_path_factory.mktemp("client")) as installation:
        api = installation.start_api()
        installation.start_worker("--pool", "solo")
        yield Server(api.url, make_key(installation, "ann"), installation, api)


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    """Both clients, called alike."""
    if request.param == "sync":
        with JobClient(server.url, server.key) as client:
            yield client
    else:
        with Blocking.of(lambda: AsyncJobClient(server.url, server.key)) as client:
            yield client


@pytest.fixture
def plain_client(server: Server) -> Iterator[JobClient]:
    with JobClient(server.url, server.key) as client:
        yield client
