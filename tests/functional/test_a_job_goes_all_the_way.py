"""Submit over HTTP, run in a real worker, poll the result."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.conftest import Worker, wait_until

POOLS = ["prefork", "threads", "solo", "gevent"]


@pytest.mark.parametrize("pool", POOLS)
def test_each_pool_runs_a_job(
    pool: str, start_worker: Callable[..., Worker], client: FlaskClient, auth: dict[str, str]
) -> None:
    start_worker("--pool", pool, "--concurrency", "1")

    submitted = client.post("/api/1.0/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=auth)

    assert submitted.status_code == 202
    address = submitted.headers["Location"]
    wait_until(lambda: client.get(address, headers=auth).json["ready"], what="the job")
    job = client.get(address, headers=auth).json
    assert (job["state"], job["successful"], job["result"]) == ("SUCCESS", True, 3)
