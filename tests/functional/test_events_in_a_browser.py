"""A browser's EventSource follows a job, over the death of the API process and its restart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from app.job_tokens import JobAccess
from tests.conftest import wait_until
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API

pytestmark = pytest.mark.long

CHROMIUM = Path("/usr/bin/chromium")

#: What docs/http.md tells authors of pages to write, in essence. It keeps what it was told.
PAGE = """<!doctype html><title>A job</title><script>
const seen = []
let opened = 0
const source = new EventSource(new URLSearchParams(location.search).get('events'))
source.onopen = () => opened++
for (const name of ['state', 'progress', 'log'])
  source.addEventListener(name, event => seen.push([event.lastEventId, name, JSON.parse(event.data)]))
</script>"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    # This is not about a disk that is slow to sync.
    with job_runs(tmp_path_factory.mktemp("browser"), CELERY_REDIS_SOCKET_TIMEOUT="10") as runs:
        start_probe_worker(runs, "--pool", "solo")
        yield runs


@pytest.fixture
def page() -> Iterator[Page]:
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is not installed, and CI must run this test")
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        yield browser.new_page()
        browser.close()


def test_an_event_source_resumes_after_the_api_was_killed_and_sees_everything_once(runs: JobRuns, page: Page) -> None:
    server = runs.installation.start_api()
    job = runs.publish("take_steps", 5, by="ann")
    token = runs.installation.app.extensions["job_tokens"].issue(JobAccess(job.id, "ann"))
    # A document of the API's own origin, which no part of the API serves.
    page.route(f"{server.url}/page**", lambda route: route.fulfill(body=PAGE, content_type="text/html"))

    def seen() -> list[list[Any]]:
        found: list[list[Any]] = page.evaluate("seen")
        return found

    def steps() -> list[int]:
        return [data["current"] for _, name, data in seen() if name == "progress"]

    page.goto(f"{server.url}/page?events={API}/results/{job.id}/events%3Faccess_token={token}")
    wait_until(
        lambda: [data for _, _, data in seen() if data.get("state") == "STARTED"], timeout=60, what="the start"
    )
    for step in (1, 2):
        runs.say_go(job.id)
        wait_until(lambda step=step: steps()[-1:] == [step], timeout=60, what=f"step {step}")

    server.kill()
    wait_until(lambda: page.evaluate("source.readyState") == 0, timeout=60, what="the browser's noticing")
    runs.say_go(job.id)  # while nobody can tell
    runs.installation.start_api(server.port)
    for step in (3, 4, 5):
        wait_until(lambda step=step: steps()[-1:] == [step], timeout=60, what=f"step {step}")
        if step < 5:
            runs.say_go(job.id)
    # It has come again after the end, and 204 tells it to stop.
    wait_until(lambda: page.evaluate("source.readyState") == 2, timeout=60, what="the end")

    assert steps() == [1, 2, 3, 4, 5]
    ids = [int(number) for number, _, _ in seen()]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    _, last, data = seen()[-1]
    assert (last, data["state"], data["job"]["result"]) == ("state", "SUCCESS", "arrived")
    assert page.evaluate("opened") == 2
