"""A Redis that is gone without a word, as when its host loses power: no connection is closed, and nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.functional.silent_proxy import SilentProxy, silent_proxy

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    with job_runs(tmp_path_factory.mktemp("silent")) as runs:
        yield runs


@pytest.fixture
def proxy(own_runs: JobRuns) -> Iterator[SilentProxy]:
    """Between the Redis and the worker, which has the settings of every worker."""
    environment, url = own_runs.installation.environment, own_runs.installation.redis.url
    with silent_proxy(urlsplit(url).port or 0) as proxy:
        for name, value in environment.items():
            environment[name] = value.replace(url, f"redis://127.0.0.1:{proxy.port}")
        for name in ("CELERY_REDIS_SOCKET_TIMEOUT", "CELERY_BROKER_TRANSPORT_OPTIONS"):
            environment.pop(name, None)
        yield proxy


@pytest.mark.parametrize("pool", ["threads", "prefork", "gevent"])
def test_a_worker_goes_on_where_a_redis_answers_again(pool: str, own_runs: JobRuns, proxy: SilentProxy) -> None:
    start_probe_worker(own_runs, "--pool", pool, "--concurrency", "2")
    assert own_runs.run("answer", 1).result == 1

    proxy.fall_silent()

    job = own_runs.publish("answer", 2)
    assert own_runs.ended(job.id, timeout=180).result == 2
