"""What a check has found."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, and is ill-advised
    PROBLEM = "problem"  # does not work, or will lose something


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence on how something is, and one on what to do about it. Neither holds an address or a secret."""

    level: Level
    check: str
    message: str
    advice: str = ""


#: What a check yields.
Findings = Iterator[Finding]


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """It works, and is ill-advised."""
    return Finding(Level.WARNING, check, message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Something does not work, or will lose something."""
    return Finding(Level.PROBLEM, check, message, advice)
