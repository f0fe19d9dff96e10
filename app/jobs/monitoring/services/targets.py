"""What the operator wants to be probed. Clients and messages know targets by their names alone."""

import re
from dataclasses import dataclass, field

import httpx

#: So many are probed within a minute even when none of them answers (see ``probing`` and ``collecting``).
MOST_TARGETS = 100

LONGEST_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9 ._:/\[\]%~-]*")
_NAMED = re.compile(r"(?P<name>[^=/?]+)=(?P<url>https?://.*)", re.IGNORECASE)


class TargetError(ValueError):
    """Targets that cannot be used; the rest of a sentence that says what is wanted. It does not repeat a URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """``url`` may lead anywhere, the operator's own network included, and may have a token in it: it is not shown."""

    name: str
    url: str = field(repr=False)


def read_targets(text: str) -> tuple[Target, ...]:
    """``URL`` or ``name=URL``, separated by commas. One without a name is called by its host, port and path.

    Raises: TargetError.
    """
    targets = tuple(_read(entry.strip()) for entry in text.split(",") if entry.strip())
    if len(targets) > MOST_TARGETS:
        raise TargetError(f"wants {MOST_TARGETS} targets at the most.")
    names = [target.name for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TargetError(f"wants a name of its own for each target, and {twice!r} is there twice: name=URL.")
    return targets


def _read(entry: str) -> Target:
    named = _NAMED.fullmatch(entry)
    url = named["url"] if named else entry
    try:
        parts = httpx.URL(url)
        host = parts.host  # decodes what IDNA has made of it
    except (httpx.InvalidURL, UnicodeError) as error:
        raise TargetError("wants URLs such as https://shop.example.com/health, or name=URL.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise TargetError("wants URLs such as https://shop.example.com/health, or name=URL.")
    if parts.userinfo:
        raise TargetError("wants URLs without a user name and a password.")
    name = named["name"].strip() if named else parts.netloc.decode() + parts.path.rstrip("/")
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise TargetError(
            f"wants names of up to {LONGEST_NAME} letters, digits, spaces and . _ : / % ~ -, beginning with a letter "
            "or a digit: name=URL."
        )
    return Target(name, url)
