"""The manual as a site: built strictly, complete, and in need of no other host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.api_1_0 import ROUTES
from libs import flask_celery
from tests.conftest import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

#: What a browser fetches by itself.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    outcome = build(ROOT, site)
    assert outcome.returncode == 0, outcome.stderr
    return site


@pytest.fixture
def copy() -> Iterator[Path]:
    """A checkout to spoil."""
    with TemporaryDirectory(prefix="taskgate-site-") as folder:
        copy = Path(folder) / "copy"
        left_out = shutil.ignore_patterns("var", ".venv", ".git", "tests", "*cache*")
        shutil.copytree(ROOT, copy, ignore=left_out)
        yield copy


class _Fetches(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in FETCHED and values.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(values.get(FETCHED[tag]) or "")


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    fetched = set()
    for page in pages:
        parser = _Fetches()
        parser.feed(page.read_text())
        fetched |= set(parser.addresses)

    assert len(pages) > 30
    assert len(fetched) > 10
    assert [address for address in fetched if re.match(r"(?:https?:)?//", address)] == []
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert [style for style in styles if re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", style)] == []


def test_lists_and_code_are_not_left_as_they_were_written(site: Path) -> None:
    """GitHub takes a list without an empty line before it, and blocks that are less indented; MkDocs does not."""
    for page in site.rglob("*.html"):
        text = re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r"<p>(?:(?!</p>).)*\n\s*- (?:<|\w)", text, re.DOTALL), page
        assert "```" not in text, page
        assert not re.search(r"<p>\|", text), page


def test_the_references_are_whole(site: Path) -> None:
    library = (site / "reference" / "library.html").read_text()
    http = (site / "reference" / "http.html").read_text()

    missing = [name for name in flask_celery.__all__ if f'id="libs.flask_celery.{name}"' not in library]
    assert missing == ["celery_app"]  # which would build the application
    paths = [re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path) for path, _ in ROUTES]
    # A submission has a path for each task there, with the task's own params.
    assert [path for path in paths if f"{path}</code>" not in http] == ["/tasks/{task}/jobs"]
    assert "/tasks/maintenance.adds/jobs</code>" in http


def test_what_leads_nowhere_and_what_nothing_leads_to_stop_the_build(copy: Path) -> None:
    page = copy / "docs" / "wire.md"
    links = "[a](nowhere.md) [b](../bench/NOTHING.md) [c](http.md#no-such-heading) [d](../app/no_such_file.py)"
    page.write_text(f"{page.read_text()}\n{links}\n")
    (copy / "docs" / "another.md").write_text("# Another\n")

    outcome = build(copy, copy / "site")

    assert outcome.returncode == 1
    for complaint in ("nowhere.md", "NOTHING.md", "no-such-heading", "no_such_file.py", "another.md"):
        assert complaint in outcome.stderr
