"""Every block in README and the manual is run by a test or says why not; what is no program is read as what it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from flask import Flask

from app.openapi import build_document
from config import load_config
from tests.conftest import built_app
from tests.docs import transcript
from tests.docs.blocks import BLOCKS, PAGES, Block, blocks_of
from tests.docs.transcript import STEPS, plain

#: test_every_command.py runs those of these languages.
RUN = {"sh", "python", "javascript"}
READ = {"json", "yaml", "dotenv", "swift", "kotlin"}
#: What a program has printed, to look at.
SHOWN = {"text"}

#: No test may do this to the machine that it runs on.
HARMFUL = re.compile(r"\b(?:apt|apt-get|systemctl|useradd|sudo|docker|kubectl|helm|pip install|rm -rf)\b")


def blocks(*languages: str) -> list[Any]:
    return [pytest.param(each, id=str(each)) for each in BLOCKS if each.language in languages and each.is_run]


@pytest.mark.parametrize("block", [pytest.param(each, id=str(each)) for each in BLOCKS])
def test_it_is_run_or_says_why_not(block: Block) -> None:
    if block.is_run:
        assert block.language in RUN | READ | SHOWN, "no test knows this language"
        assert block.comment == "" or block.expected_status, f"not understood: {block.comment}"
    else:
        assert len(block.comment.split()) > 5, "a reason is missing"
    if block.language == "sh" and block.is_run:
        assert not HARMFUL.search(block.text), "mark it: <!-- not run: why -->"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_overlooked(page: Path) -> None:
    """By counting fences; and commands stand in no other kind of block."""
    text = page.read_text()
    fences = re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)
    found = blocks_of(page)

    assert len(fences) == 2 * len(found)
    assert not re.search(r"^ {4,}\$ ", text, re.MULTILINE), "commands belong in a block of sh"


def test_there_is_something_to_run() -> None:
    run = Counter(block.language for block in BLOCKS if block.is_run)

    assert run["sh"] > 10
    assert run["python"] > 10
    assert run["javascript"] > 1


@pytest.mark.parametrize("block", blocks("json"))
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_yaml(block: Block) -> None:
    assert all(each is not None for each in yaml.safe_load_all(block.text))


@pytest.mark.parametrize("block", blocks("dotenv"))
def test_settings_are_taken(block: Block, environment: dict[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "env"
    file.write_text(block.text)
    for name, value in dotenv_values(file).items():
        assert value, name
        monkeypatch.setenv(name, value)

    with built_app(replace(load_config(), testing=True)):
        pass


def test_the_transcript_has_the_commands_of_the_pages_word_for_word_and_all_of_them() -> None:
    written = [plain(block.text) for page in transcript.PAGES for block in BLOCKS if block.page == page]
    typed = [step.command for step in STEPS if step.command not in transcript.BEFORE]

    assert [command for command in typed if not any(command in text for text in (*written, transcript.START))] == []
    commands = [each for each in BLOCKS if each.page == transcript.PAGES[1] and each.language == "sh" and each.is_run]
    left = " ".join(plain(block.text) for block in commands)
    for command in sorted({*typed, "make run"}, key=len, reverse=True):
        left = left.replace(command, "")
    assert left.split() == []


PATH = re.compile(r'"(/api/[^"]+)"')
HEADER = re.compile(
    r'(?:forHTTPHeaderField: |\.header\(|headers\[|\[|, )"([A-Z][A-Za-z]*(?:-[A-Za-z]+)*)"(?:[:,)\]])'
)


@pytest.mark.parametrize("block", blocks("swift", "kotlin"))
def test_what_cannot_be_compiled_here_names_addresses_and_headers_that_are_there(block: Block, app: Flask) -> None:
    """No more than that: there is no Swift or Kotlin compiler among what the tests use, and the page says so."""
    app.extensions["celery"].finalize()
    document = build_document(app.extensions["celery"])
    known = {re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]} | {"/api/1.0/tasks/{}/jobs"}
    paths = [re.sub(r"\\\(\w+\)|\$\w+", "{}", path) for path in PATH.findall(block.text)]
    headers = set(HEADER.findall(block.text))

    assert len(paths) == 3
    assert {path.partition("?")[0] for path in paths} <= known
    assert {"Authorization", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "ETag", "Retry-After"} <= headers
    assert headers <= headers_of(document)


def headers_of(document: dict[str, Any]) -> set[str]:
    """What the API's description says is sent and answered, and what HTTP has for bodies and credentials."""
    names = {"Authorization", "Content-Type"}
    for item in document["paths"].values():
        for operation in item.values():
            names |= {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
            for response in operation["responses"].values():
                names |= set(response.get("headers", {}))
    for response in document["components"]["responses"].values():
        names |= set(response.get("headers", {}))
    return names
