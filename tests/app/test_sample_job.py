"""The sample job goes on where the server says to come again."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.commands.sample_job import SampleJobError, run_sample_job
from tests.installation import ApiServer, Installation, an_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("sample")) as made:
        yield made


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api()


def test_another_error_is_one(server: ApiServer) -> None:
    with pytest.raises(SampleJobError, match="key"):
        run_sample_job(server.url, "tg_000000000000_no-such-key")


def test_it_comes_again_after_a_503(
    installation: Installation, server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.start_worker_of_all_queues("--pool", "threads", "--concurrency", "1")
    key = installation.headers()["Authorization"].removeprefix("Bearer ")

    installation.redis.stop()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run_sample_job, server.url, key)
        time.sleep(1.5)  # long enough for its first try to be refused
        assert '"status": 503' in server.log
        installation.redis.start()
        running.result(90)

    assert "1500 inserted" in capsys.readouterr().out
