"""The commands and programs of README and the manual, run in their order in a copy of the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import wait_until
from tests.docs import transcript
from tests.docs.blocks import BLOCKS, Block
from tests.docs.readers_copy import ReadersCopy
from tests.docs.stand_ins import AFTER, BEFORE
from tests.docs.transcript import STEPS

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def copy() -> Iterator[ReadersCopy]:
    with TemporaryDirectory(prefix="tg-docs-") as folder, ReadersCopy(Path(folder)) as copy:
        yield copy


@pytest.fixture
def page(copy: ReadersCopy) -> Iterator[Page]:
    """An empty page of the API's own origin, which no part of the API serves."""
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is not installed, and CI must run this test")
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        page = browser.new_page()
        page.route(f"{copy.url}/page", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        page.goto(f"{copy.url}/page")
        yield page
        browser.close()


def of_languages(*languages: str) -> list[Any]:
    return [pytest.param(each, id=str(each)) for each in BLOCKS if each.language in languages and each.is_run]


@pytest.mark.parametrize("block", of_languages("sh", "python"))
def test_it_does_what_the_page_says(copy: ReadersCopy, block: Block) -> None:
    if block.text.startswith("make run"):
        copy.make_run()
    elif block.language == "sh":
        run_in_terminal(copy, block)
    elif block.file:
        write(copy, block, block.file)
    else:
        run_python(copy, block)


def run_in_terminal(copy: ReadersCopy, block: Block) -> None:
    said, failed = copy.terminal(block.page).run(copy.here(block.text))

    copy.answers.setdefault(block.page, []).append(said)
    if block.expected_status:
        assert failed == {22}, said  # curl's code for an HTTP error
        assert f'"status": {block.expected_status}' in said
    else:
        assert failed == set(), said


def write(copy: ReadersCopy, block: Block, name: str) -> None:
    """A file of the reader's, new or by ``new-job``: no page may have him overwrite one of ours."""
    path = copy.folder / name
    assert name not in copy.ours, f"there is a {name} already"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)

    outcome = copy.python(f"import {name.removesuffix('.py').replace('/', '.')}")

    assert outcome.returncode == 0, outcome.stderr


def run_python(copy: ReadersCopy, block: Block) -> None:
    program = BEFORE.get(block.page, "") + block.text + "\n" + AFTER.get(block.page, "")

    outcome = copy.python(program, TASKGATE_URL=copy.url, TASKGATE_KEY=copy.key)

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("task", ["texts.count_words", "greetings.greet_all"])
def test_the_jobs_that_the_pages_have_added_are_offered(copy: ReadersCopy, task: str) -> None:
    headers = {"Authorization": f"Bearer {copy.key}"}

    assert httpx.get(f"{copy.url}/api/1.0/tasks/{task}", headers=headers).json()["name"] == task


def test_they_answer_what_the_pages_say(copy: ReadersCopy) -> None:
    headers = {"Authorization": f"Bearer {copy.key}", "Prefer": "wait=30"}
    with httpx.Client(base_url=copy.url, headers=headers, timeout=60) as client:
        greeted = client.post("/api/1.0/tasks/greetings.greet_all/jobs", json={"names": ["Ann", "Bo"]}).json()
        counted = client.get("/api/1.0/results/latest/texts.count_words").json()

    assert greeted["result"] == ["Hello Ann", "Hello Bo"]
    assert f"`{json.dumps({'result': counted['result']})[1:-1]}`" in (copy.folder / "docs/add-a-job.md").read_text()


def test_the_transcript_shows_what_is_answered_today(copy: ReadersCopy) -> None:
    """``make run`` apart, whose first line is the installation, which this copy was spared."""
    said = [answer for page in transcript.PAGES for answer in copy.answers[page]]
    started = replace(STEPS[1], shown=STEPS[1].shown.partition("\n")[2].replace(transcript.PORT, str(copy.port)))
    shown = [step for step in STEPS[2:] if step.shown]

    assert STEPS[1].command == transcript.START
    assert started.is_shown_by(copy.said), copy.said
    assert len(shown) > 7
    assert [step for step in shown if not any(step.is_shown_by(answer) for answer in said)] == []


#: What a page leaves to its reader: the key before, a call after.
SCRIPTS = {
    "docs/clients.md": ("const key = {key};\n{text}", ["3"]),
    "docs/http.md": (
        "{text}\nfollow({job}, (kind, data) => {{ if (data.ready) console.log(kind, data.job.result) }})",
        ["state 3"],
    ),
}


@pytest.mark.parametrize("block", of_languages("javascript"))
def test_a_browser_runs_it(copy: ReadersCopy, page: Page, block: Block) -> None:
    program, expected = SCRIPTS[block.page]
    headers = {"Authorization": f"Bearer {copy.key}"}
    job = httpx.post(f"{copy.url}/api/1.0/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers).json()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))

    text = copy.here(block.text)
    page.add_script_tag(
        content=program.format(key=json.dumps(copy.key), job=json.dumps(job), text=text), type="module"
    )

    def has_said() -> bool:
        page.wait_for_timeout(100)  # which lets the browser's messages in
        return bool(said)

    wait_until(has_said, timeout=60, what="an answer in the browser")
    assert said == expected
