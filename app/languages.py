"""The languages that clients are answered in: which one a request gets, and what is written in it.

Texts stand in the code in English, marked with ``N_``; their translations in ``app/translations``, as gettext has it.
The catalogues are compiled as the process starts to use them, which takes milliseconds, so that none is out of date.
"""

import re
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Response, g
from werkzeug.datastructures import LanguageAccept

TRANSLATIONS = Path(__file__).parent / "translations"

#: The first one is that of the code, and of those who want none of the others.
LANGUAGES = ("en", "zh")


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """Mark a text for translation where it stands; :func:`translated` translates it when it is known who asks."""
    return text


def negotiated(wanted: LanguageAccept) -> str:
    """The best of ours for an ``Accept-Language`` (RFC 4647, lookup): ``zh-TW`` and ``zh-Hans-CN`` are zh."""
    ranges = [(_language(tag), quality) for tag, quality in wanted]
    named = {language for language, _ in ranges}
    for language, quality in sorted(ranges, key=lambda one: -one[1]):
        if not quality:  # refused, as are all after it
            break
        if language in LANGUAGES:
            return language
        if language == "*":  # any that is not named
            others = [other for other in LANGUAGES if other not in named]
            if others:
                return others[0]
    return LANGUAGES[0]


def translated(text: str) -> str:
    """A marked text in the request's language. From then on the answer says that it is in that language."""
    answer_is_translated(g)
    # Work that no request has asked for, such as a webhook, has None.
    return str(_translations(g.get("locale") or LANGUAGES[0]).gettext(text))


def answer_is_translated(facts: Any) -> None:
    """The answer has something in it that was translated, now or when it was made. ``facts``: the request's ``g``."""
    facts.has_translations = True


def label_language(facts: Any, response: Response) -> None:
    """Tell clients and caches that what was translated depends on ``Accept-Language``; errors are in English.

    ``facts``: the request's ``g``.
    """
    if facts.get("has_translations") and response.status_code < 400:
        headers = response.headers
        headers.add("Content-Language", facts.locale)
        if headers.getlist("Vary"):
            response.vary.add("Accept-Language")
        else:
            headers.add("Vary", "Accept-Language")


@cache
def _translations(language: str) -> NullTranslations:
    """Raises: PoFileError for a catalogue that cannot be read."""
    if language == LANGUAGES[0]:
        return NullTranslations()
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as source:
        catalogue = read_po(source, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _language(tag: str) -> str:
    return re.split("[-_]", tag.lower(), maxsplit=1)[0]
