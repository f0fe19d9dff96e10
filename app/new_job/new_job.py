"""Which job is to be written."""

import builtins
import keyword
import re
from dataclasses import dataclass
from typing import Self

from app.jobs import queues

_WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_NAME = 28  # with longer ones the lines of what is written would not fit
_LONGEST_DESCRIPTION = 100

#: What ``tasks.py`` calls other things.
_TAKEN = frozenset({"current_job", "items", "job", "services"})


class NewJobError(Exception):
    """A job that cannot be written; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """The job ``package.verb``, and what is said of it."""

    package: str
    verb: str
    description: str
    queue: str | None

    @classmethod
    def named(cls, name: str, *, description: str | None = None, queue: str | None = None) -> Self:
        """Raises: NewJobError."""
        package, dot, verb = name.partition(".")
        if not (dot and _WORD.fullmatch(package) and _WORD.fullmatch(verb)):
            raise NewJobError(f"A name is package.verb in lower case, such as greetings.greet_all, not {name!r}.")
        for word in (package, verb):
            if len(word) > _LONGEST_NAME:
                raise NewJobError(f"{word} is longer than {_LONGEST_NAME} characters.")
            if keyword.iskeyword(word):
                raise NewJobError(f"{word} is a word of Python's own. Take another one.")
        if verb in _TAKEN or hasattr(builtins, verb):
            raise NewJobError(f"{verb} would hide what Python or tasks.py calls so. Take another verb.")
        if queue is not None and not _QUEUE.fullmatch(queue):
            raise NewJobError(f"A queue's name has up to 64 letters, digits, '_', '.' and '-', not {queue!r}.")
        return cls(package, verb, _sentence(description or verb.replace("_", " ").capitalize()), queue)

    @property
    def name(self) -> str:
        """As clients know it."""
        return f"{self.package}.{self.verb}"

    @property
    def schema(self) -> str:
        """The class of its params."""
        return "".join(word.capitalize() for word in self.verb.split("_")) + "Params"

    @property
    def queue_constant(self) -> str | None:
        """What ``app.jobs.queues`` calls the queue; None for others."""
        return next((name for name, value in vars(queues).items() if name.isupper() and value == self.queue), None)


def _sentence(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable() or len(text) > _LONGEST_DESCRIPTION or set(text) & set('"\\'):
        raise NewJobError(
            f"A description is one line of up to {_LONGEST_DESCRIPTION} characters, without backslashes and double "
            "quotes."
        )
    if text.partition(" ")[0].lower() == "this":
        raise NewJobError("A description says what the job does, such as: Greet everybody. Not: This job greets.")
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
