"""Workers that run the probe jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """Jobs of an installation with one prefork worker of two processes, for all tests that leave it as it is."""
    with job_runs(tmp_path_factory.mktemp("probes")) as runs:
        start_probe_worker(runs, "--pool", "prefork", "--concurrency", "2")
        yield runs
