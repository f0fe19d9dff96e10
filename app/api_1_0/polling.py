"""Representations that clients poll: their ETags, 304, and holding a request until there is something new."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from flask import Response, current_app, request
from werkzeug.datastructures import ETags

from app.api_1_0.json_response import PlainResponse, Unchanged
from app.json_values import dumps
from libs.flask_celery import WatchHub

#: Seconds for which a request may be held.
LONGEST_WAIT = 30


@dataclass(frozen=True, slots=True)
class Representation:
    """What a poll answers.

    Args:
        value: as JSON would have it, where that is not given as ``body`` and its ``etag`` already.
        unfinished: the ids of the jobs in it that are not final.
        settled: how many are: jobs and ids that are none.
        retry_after: seconds after which it is worth while to ask again, when there are unfinished ones.
    """

    value: object = None
    unfinished: Collection[str] = ()
    settled: int = 1
    retry_after: int = 1
    body: bytes = b""
    etag: str = ""

    def __post_init__(self) -> None:
        if not self.body:
            object.__setattr__(self, "body", dumps(self.value).encode())
            object.__setattr__(self, "etag", etag_of(self.body))


def etag_of(body: bytes) -> str:
    """Of the answer itself, so that an admin's, which says more, has another one."""
    return sha256(body).hexdigest()[:32]


def held(
    read: Callable[[], Representation], seconds: float, *, first: Representation | None = None
) -> Representation:
    """What ``read()`` gives, as soon as it is worth an answer: at once, or within ``seconds``.

    ``first`` is what it has given already, where it has. Worth it is what differs from what the client knows, when a
    poll names that; else a job that has become final; in any case that all are. When too many wait already it is
    answered at once.
    Raises: what ``read`` does, and redis-py's connection errors.
    """
    if seconds <= 0:
        return read()
    known = request.if_none_match if request.method in ("GET", "HEAD") else ETags()
    deadline = time.monotonic() + seconds
    hub: WatchHub = current_app.extensions["job_watch"]
    first = first or hub.read(read)
    if _is_worth_it(first, first, known):
        return first
    with hub.watch(first.unfinished) as watch:
        if watch is None:
            return first
        while True:
            now = hub.read(read, watch)
            left = deadline - time.monotonic()
            if left <= 0 or watch.dismissed or _is_worth_it(now, first, known):
                return now
            watch.wait(left)


def poll_response(representation: Representation, **headers: str) -> Response:
    """200, or 304 when the client has this very representation."""
    # What werkzeug's own way to each header takes adds up: this is asked for more often than anything else.
    etag = f'"{representation.etag}"'
    told = [("ETag", etag), *headers.items()]
    if representation.unfinished:
        told.append(("Retry-After", str(representation.retry_after)))
    known = request._get_current_object().environ.get("HTTP_IF_NONE_MATCH")  # type: ignore[attr-defined]
    # Weakly: a proxy that compresses makes a strong tag a weak one (RFC 9110, 13.1.2).
    if known is not None and (known == etag or request.if_none_match.contains_weak(representation.etag)):
        return Unchanged(told)
    return PlainResponse(representation.body, HTTPStatus.OK, told)


def _is_worth_it(now: Representation, first: Representation, known: ETags) -> bool:
    if not now.unfinished:
        return True
    if known:
        return not known.contains_weak(now.etag)
    return now.settled > first.settled
