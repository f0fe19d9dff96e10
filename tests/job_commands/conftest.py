"""Commands against a server: the one of the client's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from libs.job_commands import LocalServer, make_jobs
from tests.job_client.conftest import Server, server

__all__ = ["run", "server"]

Run = Callable[..., Result]


def no_local_server() -> LocalServer:
    raise AssertionError("another server was named")


@pytest.fixture
def run(server: Server) -> Run:
    """``run("list", "--json")``, in this process."""
    jobs = make_jobs(no_local_server, dead="app.commands:dead", quarantine="app.commands:quarantine")

    def run(*words: str, **environment: str) -> Result:
        named = {"TASKGATE_URL": server.url, "TASKGATE_KEY": server.key}
        return CliRunner().invoke(jobs, words, env=named | environment, input="", catch_exceptions=False)

    return run
