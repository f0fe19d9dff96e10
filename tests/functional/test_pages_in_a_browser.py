"""The docs page and pages of other origins, in a real Chromium: what it refuses it writes to its console."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.installation import API, Installation, an_installation

CHROMIUM = shutil.which("chromium")

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")]


class EmptyPage(BaseHTTPRequestHandler):
    """Of another origin: somebody's application."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>App</title>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def other_origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, other_origin: str) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("browser"), CORS_ORIGINS=other_origin) as installation:
        yield installation


@pytest.fixture(scope="module")
def api_url(installation: Installation) -> str:
    return installation.start_api().url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page and what its console says."""
    said: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield page, said
    page.close()


def test_the_docs_page_works_under_its_own_policy(page: tuple[Page, list[str]], api_url: str) -> None:
    docs, said = page
    asked: list[str] = []
    docs.on("request", lambda request: asked.append(request.url))

    docs.goto(f"{api_url}/docs/")
    listing = docs.locator("#operations-tasks-get_task_list")
    listing.locator(".opblock-summary").click(timeout=60_000)
    listing.get_by_role("button", name="Try it out").click()
    listing.get_by_role("button", name="Execute").click()
    listing.locator(".live-responses-table").wait_for(timeout=30_000)

    # It has called the API, which wants a key.
    failed = [line for line in said if "401" not in line]
    assert failed == []
    assert docs.locator(".opblock").count() > 10
    width = listing.evaluate("element => getComputedStyle(element).borderTopWidth")
    assert width != "0px", "it has no styles"
    assert all(url.startswith((api_url, "data:")) for url in asked), asked


def test_nothing_foreign_runs_in_the_docs_page(page: tuple[Page, list[str]], api_url: str) -> None:
    docs, said = page
    docs.goto(f"{api_url}/docs/")

    docs.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.foreign = 1'")

    assert docs.evaluate("window.foreign") is None
    assert any("Content Security Policy" in line for line in said)


CALL = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        const names = ["location", "etag", "retry-after", "x-request-id", "idempotent-replayed", "ratelimit"];
        const headers = Object.fromEntries(names.map(name => [name, answer.headers.get(name)]));
        return {status: answer.status, headers: headers, body: await answer.json()};
    } catch (error) {
        return {refused: String(error)};
    }
}"""


def test_a_page_of_an_allowed_origin_submits_and_polls(
    page: tuple[Page, list[str]], api_url: str, other_origin: str, installation: Installation
) -> None:
    application, said = page
    application.goto(other_origin)
    headers = {
        **installation.headers("ann"),
        "Content-Type": "application/json",
        "Idempotency-Key": "from-a-browser",
        "Prefer": "wait=0",
        "X-Request-ID": "browser-1",
    }
    submit = [
        f"{api_url}{API}/tasks/maintenance.adds/jobs",
        {"method": "POST", "headers": headers, "body": '{"a":1,"b":2}'},
    ]

    first, again = application.evaluate(CALL, submit), application.evaluate(CALL, submit)
    result = f"{api_url}{first['headers']['location']}"
    poll = application.evaluate(CALL, [result, {"headers": {"Authorization": headers["Authorization"]}}])
    by_token = application.evaluate(CALL, [f"{result}?access_token={first['body']['access_token']}", {}])
    unknown = application.evaluate(CALL, [result, {"headers": {"Authorization": "Bearer unknown"}}])

    assert (first["status"], again["status"]) == (202, 202)
    assert first["headers"]["x-request-id"] == "browser-1"
    assert again["headers"]["idempotent-replayed"] == "true"
    assert (poll["status"], by_token["status"]) == (200, 200)
    assert poll["headers"]["etag"]
    assert poll["headers"]["retry-after"]
    assert unknown["status"] == 401
    assert unknown["body"]["detail"].startswith("This API key is unknown")
    assert not [line for line in said if "CORS" in line]


def test_a_page_of_another_origin_is_refused_by_the_browser(
    page: tuple[Page, list[str]], api_url: str, other_origin: str, installation: Installation
) -> None:
    application, said = page
    application.goto(other_origin.replace("127.0.0.1", "localhost"))

    read = application.evaluate(CALL, [f"{api_url}{API}/tasks", {"headers": installation.headers("bob")}])

    assert "refused" in read
    assert any("CORS" in line for line in said)
