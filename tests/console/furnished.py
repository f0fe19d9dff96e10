"""An installation with something of everything to look at, and a browser that looks at it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from app.api_keys import Scope
from app.extensions import db
from app.jobs.monitoring.models import HostSample, ProbeSample
from tests.conftest import ROOT, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs
from tests.installation import API, ApiServer, bearer

CHROMIUM = Path("/usr/bin/chromium")

#: Where the pictures are kept: for people to look at, and for whoever runs the tests elsewhere to take along.
SCREENSHOTS = Path(os.environ.get("CONSOLE_SCREENSHOTS") or ROOT / "var" / "screenshots")

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}

_PATIENT = {"CELERY_REDIS_SOCKET_TIMEOUT": "10", "UPLOAD_TYPES": "text/csv,text/plain"}


class Furnished:
    """What there is to look at, by name."""

    def __init__(self, runs: JobRuns, server: ApiServer) -> None:
        self.runs = runs
        self.server = server
        self.url = server.url
        headers = runs.installation.headers("ann", *Scope)
        self.key = headers["Authorization"].removeprefix("Bearer ")
        self.api = httpx.Client(base_url=f"{self.url}{API}", headers=headers, timeout=60)
        self.jobs: dict[str, str] = {}

    def submit(self, task: str, params: dict[str, Any], headers: dict[str, str] | None = None) -> str:
        answer = self.api.post(f"/tasks/{task}/jobs", json=params, headers=headers)
        answer.raise_for_status()
        return str(answer.json()["task_id"])

    def ended(self, task_id: str) -> dict[str, Any]:
        wait_until(lambda: self.api.get(f"/results/{task_id}").json()["ready"], timeout=90, what=task_id)
        return dict(self.api.get(f"/results/{task_id}").json())

    def count(self, task: str) -> int:
        return len(self.api.get("/jobs", params={"task": task, "limit": 100}).json()["jobs"])


@contextmanager
def furnished(folder: Path) -> Iterator[Furnished]:
    with job_runs(folder, **_PATIENT) as runs:
        runs.installation.start_worker(
            *LOAD_PROBES, "--pool", "threads", "--concurrency", "4", "-Q", "default,for_task_compute"
        )
        place = Furnished(runs, runs.installation.start_api())
        _measure(place)
        parts = (ROOT / "samples" / "parts.csv").read_bytes()
        file_id = place.api.post("/files", params={"name": "parts.csv"}, content=parts).json()["file_id"]
        place.jobs["refresh"] = place.submit("maintenance.refresh_onboard_table", {"file_id": file_id})
        place.ended(place.jobs["refresh"])
        place.jobs["match"] = place.submit("maintenance.match_self_table", {})
        place.jobs["metrics"] = place.submit("monitoring.aggregate_metrics", {"minutes": 60})
        for number in range(4):
            place.jobs[f"failed {number}"] = _fail(place, number)
            assert place.ended(place.jobs[f"failed {number}"])["state"] == "FAILURE"
        adds = [{"task": "maintenance.adds", "params": {"a": n, "b": 2}} for n in range(12)]
        late = [{**job, "delay": 3600} for job in adds[:3]]
        place.jobs["batch"] = place.api.post("/batches", json=[*adds, *late]).json()["batch_id"]
        for schedule in (
            {"name": "Match the catalogue", "task": "maintenance.match_self_table", "cron": "0 10,17 * * *"},
            {"task": "maintenance.adds", "params": {"a": 1, "b": 2}, "every": 3600},
        ):
            assert place.api.post("/schedules", json=schedule).status_code == 201
        for name in ("match", "metrics"):
            place.ended(place.jobs[name])
        yield place
        place.api.close()


def _fail(place: Furnished, number: int) -> str:
    """Each owner has one job of this task at a time: two of them are other people's."""
    headers = place.runs.installation.headers(("bob", "carl", "ann", "ann")[number])
    text = f"nothing,of,use\n{number},2,3\n".encode()
    wrong = place.api.post("/files", params={"name": "wrong.csv"}, content=text, headers=headers).json()["file_id"]
    return place.submit("maintenance.refresh_onboard_table", {"file_id": wrong}, headers)


def _measure(place: Furnished) -> None:
    """An hour of measurements, as the collectors leave them."""
    now = datetime.now(UTC)
    with place.runs.installation.app.app_context():
        for minute in range(58):
            at, wave = now - timedelta(minutes=59 - minute), math.sin(minute / 7)
            latency = 42 + 14 * wave + (minute * 37 % 11)
            db.session.add(ProbeSample(target="shop", at=at, is_up=True, status=200, latency_ms=latency))
            db.session.add(
                HostSample(
                    host="worker-1",
                    at=at,
                    cpu_percent=38 + 21 * wave + minute % 5,
                    memory_percent=61 + 4 * wave,
                    disk_percent=48.2,
                    load_1=1.4 + wave,
                    sent_bytes=9_000_000 * minute,
                    received_bytes=14_000_000 * minute,
                )
            )
        db.session.commit()


@contextmanager
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is not installed, and CI must run this test")
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        yield browser
        browser.close()


class Console:
    """A page of the console, and what its developer console says."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.said: list[str] = []
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("console", lambda message: message.type == "error" and self.said.append(message.text))

    def sign_in(self, key: str) -> None:
        self.page.goto(f"{self.url}/")
        self.page.get_by_label(re.compile("API key|API 密钥")).fill(key)
        self.page.keyboard.press("Enter")
        self.page.locator("nav a").first.wait_for(state="attached", timeout=30_000)

    def open(self, hash_: str) -> None:
        self.page.goto(f"{self.url}/{hash_}")
        self.page.locator("main h1").wait_for(timeout=30_000)

    def keep(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")

    def violations(self) -> list[str]:
        """What axe finds against WCAG, and its best practices."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:4]}" for one in found]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


__all__ = ["API", "DESKTOP", "PHONE", "Console", "Furnished", "bearer", "chromium", "furnished"]
