"""Workers that run the probe jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """Jobs of an installation with one prefork worker of two processes, for all tests that leave it as it is."""
    with job_runs(tmp_path_factory.mktemp("probes")) as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2")
        yield runs


@pytest.fixture(scope="module")
def make_database(postgresql: Engine) -> Iterator[Callable[[], str]]:
    """``make_database()`` makes an empty database of the server that others use too, and returns its URL."""
    names = []
    with postgresql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def make() -> str:
            names.append(f"functional_{uuid4().hex}")
            connection.execute(text(f"CREATE DATABASE {names[-1]}"))
            return postgresql.url.set(database=names[-1]).render_as_string(hide_password=False)

        yield make
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def transactional_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """An installation without a worker, whose dead workers' jobs are back in their queue after 3 seconds."""
    settings = {
        "CELERY_BROKER_TRANSPORT_OPTIONS": '{"visibility_timeout": 3, "unacked_restore_interval": 0.5}',
        "CELERY_REDIS_SOCKET_TIMEOUT": "10",
    }
    if request.param == "postgresql":
        settings["DATABASE_URL"] = request.getfixturevalue("make_database")()
    with job_runs(tmp_path_factory.mktemp(request.param), **settings) as runs:
        yield runs
