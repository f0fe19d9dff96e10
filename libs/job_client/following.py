"""Following a job by its events, over any number of connections."""

from __future__ import annotations

import time

from . import requests
from .errors import UnreachableError, refusal
from .event_text import EventText, event_of
from .events import StateEvent
from .flow import Emit, Flow, Lost, NextPiece, Open, Pause
from .model import Problem
from .sending import Terms, send

_NO_CONTENT = 204

#: Seconds until coming again, when the server has not said.
_COME_AGAIN = 2.0


def followed(terms: Terms, task_id: str, after: int | None) -> Flow[None]:
    """Emits each event once, to the end of the job.

    Args:
        after: the id of the last event that one has; 0 for all that is kept, None to begin with the present state.

    Raises: RefusedError; UnreachableError when nothing was told for as long as the retry policy's patience.
    """
    heard = time.monotonic()
    while True:
        answer = yield from send(terms, requests.events(task_id, after), step=Open)
        if answer.reply.status == _NO_CONTENT:
            return
        text = EventText()
        broken: Lost | Problem | None = None
        while broken is None:
            piece = yield NextPiece()
            if not isinstance(piece, bytes):
                broken = piece
                break
            for frame in text.feed(piece):
                event = event_of(frame)
                if event is None or isinstance(event, Problem):
                    broken = event
                    continue
                after = int(frame.id) if frame.id else after
                heard = time.monotonic()
                yield Emit(event)
                if isinstance(event, StateEvent) and event.state.ready:
                    return
        if broken is not None and time.monotonic() - heard > terms.policy.patience:
            raise _given_up(terms, broken)
        yield Pause(_COME_AGAIN if text.retry is None else text.retry)


def _given_up(terms: Terms, broken: Lost | Problem) -> Exception:
    if isinstance(broken, Problem):
        return refusal(broken)
    return UnreachableError(terms.url, 1, str(broken.error) or type(broken.error).__name__)
