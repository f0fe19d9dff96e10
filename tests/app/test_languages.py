"""Which language a request gets, and that every text is there in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask, g
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from app.api_1_0.schemas.labels import STATE_LABELS, state_label
from app.languages import LANGUAGES, TRANSLATIONS, negotiated
from libs.flask_celery import JobState
from libs.flask_celery.context import fill_g
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh-TW", "zh"),
        ("ZH-hans", "zh"),
        ("zh-Hans-CN", "zh"),
        ("zh_CN", "zh"),
        ("zh-CN,en;q=0.5", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh;q=0.1,en-US;q=0.2", "en"),
        ("de,zh;q=0.5", "zh"),
        ("de", "en"),
        ("*", "en"),
        ("zh;q=0.5,*", "en"),
        ("en;q=0.5,*", "zh"),
        ("zh;q=0", "en"),
        ("en;q=0,*;q=0.1", "zh"),
        ("zhx", "en"),
        (";;q=x,,-", "en"),
    ],
)
def test_the_language_that_a_request_gets(wanted: str, language: str) -> None:
    assert negotiated(parse_accept_header(wanted, LanguageAccept)) == language


def marked_texts() -> set[str]:
    return {text for _, _, text, _, _ in extract_from_dir(ROOT / "app", [("**.py", "python")], keywords={"N_": None})}


def catalogue(language: str) -> Catalog:
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as source:
        return read_po(source, locale=language, abort_invalid=True)


def test_every_catalogue_has_the_texts_of_the_code_and_no_other() -> None:
    texts = marked_texts()
    assert {"Waiting", "Cancelled"} < texts
    catalogues = {path.parts[-3] for path in Path(TRANSLATIONS).glob("*/LC_MESSAGES/messages.po")}
    assert catalogues == set(LANGUAGES[1:])
    for language in catalogues:
        found = catalogue(language)
        translations = {message.id: message.string for message in found if message.id}
        assert translations.keys() == texts
        assert all(translations.values()), translations
        assert not any(message.fuzzy for message in found if message.id)
        assert not found.obsolete


def test_every_state_is_called_something_in_every_language(app: Flask) -> None:
    assert STATE_LABELS.keys() == set(JobState)
    with app.test_request_context():
        labels = {}
        for language in LANGUAGES:
            g.locale = language
            labels[language] = [state_label(state) for state in JobState]
    assert all(all(texts) for texts in labels.values())
    assert set(labels["en"]).isdisjoint(labels["zh"])


def test_work_that_no_request_has_asked_for_is_told_in_the_language_of_the_code(app: Flask) -> None:
    with app.app_context():
        fill_g(None)  # as a worker does for each task, one that delivers a webhook too

        assert [state_label(state) for state in JobState] == [STATE_LABELS[state] for state in JobState]
