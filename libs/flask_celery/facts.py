"""What a submission knows about itself: gathered where the job is published, carried in the message, given to ``g``.

The facts travel as one JSON object under the message header ``taskgate``; a stock client sends none and a stock
worker ignores it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from flask import g, has_app_context

HEADER = "taskgate"

#: What logs, events and Flower are to show of a client's params: options of ``apply_async`` and headers of a message.
HIDDEN: Mapping[str, str] = {"argsrepr": "()", "kwargsrepr": "{…}"}


@dataclass(frozen=True, slots=True)
class SubmissionFacts:
    """Who submitted a job, when, and in which request."""

    submitted_at: int  # Unix time in milliseconds
    owner: str = ""  # the principal; empty for beat and for plain scripts
    request_id: str | None = None
    locale: str | None = None
    traceparent: str | None = None  # W3C Trace Context
    retry_of: str | None = None  # the final job that this one runs again
    deadline: int | None = None  # Unix time in milliseconds at which it is cancelled if it has not ended
    batch_id: str | None = None  # the batch it was submitted with
    schedule_id: str | None = None  # the schedule that has submitted it
    due_at: int | None = None  # Unix time in milliseconds at which that was due

    @classmethod
    def of_caller(cls) -> "SubmissionFacts":
        """The facts of the code that publishes right now: the request it answers, or the job it runs in."""
        now = time.time_ns() // 1_000_000
        if not has_app_context():
            return cls(submitted_at=now)
        known = g.get
        return cls(
            submitted_at=now,
            owner=known("principal") or "",
            request_id=known("request_id"),
            locale=known("locale"),
            traceparent=known("traceparent"),
        )

    @classmethod
    def of_header(cls, header: object) -> "SubmissionFacts | None":
        """The facts a message carries, or None when it was not published by this library."""
        if not isinstance(header, Mapping):
            return None
        submitted_at = header.get("submitted_at")
        if not isinstance(submitted_at, int):
            return None
        return cls(
            submitted_at=submitted_at,
            owner=_text(header.get("owner")) or "",
            request_id=_text(header.get("request_id")),
            locale=_text(header.get("locale")),
            traceparent=_text(header.get("traceparent")),
            retry_of=_text(header.get("retry_of")),
            deadline=deadline if isinstance(deadline := header.get("deadline"), int) else None,
            batch_id=_text(header.get("batch_id")),
            schedule_id=_text(header.get("schedule_id")),
            due_at=due_at if isinstance(due_at := header.get("due_at"), int) else None,
        )

    @classmethod
    def of_request(cls, request: Any) -> "SubmissionFacts | None":
        """Those of a job's run, read once."""
        try:
            kept: SubmissionFacts | None = request.__dict__["submission_facts"]
        except KeyError:
            kept = request.submission_facts = cls.of_header(getattr(request, HEADER, None))
        return kept

    def to_header(self) -> dict[str, Any]:
        """As JSON, without what is not known."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    def to_json(self) -> str:
        """The text of that, without spaces, and without an encoder, whose making takes longer."""
        known = [(name, value) for name in self.__slots__ if (value := getattr(self, name))]
        members = [f'"{name}":{value if isinstance(value, int) else quoted(value)}' for name, value in known]
        return f"{{{','.join(members)}}}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
