"""docs/from-the-notes.md names tests that are there, and every test module of the notes."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "from-the-notes.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[\w/]+/)?test_\w+\.py)(?:::(test_\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda value: value or "all")
def test_what_is_named_is_there(file: str, test: str) -> None:
    path = ROOT / (file if "/" in file else f"tests/notes/{file}")

    assert path.is_file()
    if test:
        assert f"\ndef {test}(" in path.read_text()


def test_every_module_of_the_notes_is_named() -> None:
    modules = {path.name for path in (ROOT / "tests" / "notes").glob("test_*.py")}

    assert modules == {file for file, _ in NAMED if "/" not in file}


def test_every_file_of_ours_that_is_named_is_there() -> None:
    for path in re.findall(r"`((?:app|libs|deploy|examples|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path
