"""One furnished installation and one browser for each module that looks at the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.console.furnished import DESKTOP, Console, Furnished, chromium, furnished


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("console")) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_console(browser: Browser, place: Furnished) -> Iterator[Callable[..., Console]]:
    """``new_console(viewport=PHONE, locale="zh-CN")`` is a page of a browser that nobody has used before."""
    contexts = []

    def open_one(**options: Any) -> Console:
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-US", **options})
        contexts.append(context)
        return Console(context.new_page(), place.url)

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def console(new_console: Callable[..., Console], place: Furnished) -> Console:
    """On a desktop, in English, with ann signed in."""
    console = new_console()
    console.sign_in(place.key)
    return console
