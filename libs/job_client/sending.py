"""Sending a request until there is an answer: again when the reply was lost, or the server says that it is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from .errors import BusyError, RefusedError, UnreachableError, refusal
from .flow import Exchange, Flow, Lost, Open, Pause, Reply, Request
from .reading import read_problem
from .retrying import RetryPolicy

_BUSY = frozenset({429, 502, 503, 504})
_REFUSED = 400


@dataclass(frozen=True, slots=True)
class Terms:
    """How requests are sent.

    Args:
        url: where, for errors.
    """

    url: str
    policy: RetryPolicy


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply below 400.

    Args:
        after_loss: the request may have arrived before.
    """

    reply: Reply
    after_loss: bool


def send(
    terms: Terms,
    request: Request,
    *,
    deadline: float | None = None,
    step: Callable[[Request], Exchange | Open] = Exchange,
    tolerated: frozenset[int] = frozenset(),
) -> Flow[Answer]:
    """The answer, of status below 400 or one of the ``tolerated``.

    Args:
        deadline: of ``time.monotonic()``; no try begins after it, whatever patience says.

    Raises: UnreachableError, RefusedError.
    """
    began = time.monotonic()
    after_loss = False
    for tries in count(1):
        outcome = yield step(request)
        if isinstance(outcome, Reply) and (outcome.status < _REFUSED or outcome.status in tolerated):
            return Answer(outcome, after_loss)
        error = _error(terms, request, outcome, tries)
        again = _may_go_again(request, outcome, after_loss=after_loss)
        after_loss = after_loss or (isinstance(outcome, Lost) and outcome.sent) or isinstance(error, BusyError)
        until = began + terms.policy.patience
        left = (until if deadline is None else min(until, deadline)) - time.monotonic()
        retry_after = error.problem.retry_after if not isinstance(error, UnreachableError) else None
        pause = terms.policy.pause(tries, left=left, retry_after=retry_after) if again else None
        if pause is None:
            raise error from (outcome.error if isinstance(outcome, Lost) else None)
        yield Pause(pause)
    raise AssertionError("count() does not end")


def _error(terms: Terms, request: Request, outcome: Reply | Lost, tries: int) -> UnreachableError | RefusedError:
    if isinstance(outcome, Lost):
        reason = str(outcome.error) or type(outcome.error).__name__
        return UnreachableError(terms.url, tries, reason, idempotency_key=request.idempotency_key)
    return refusal(read_problem(outcome), idempotency_key=request.idempotency_key)


def _may_go_again(request: Request, outcome: Reply | Lost, *, after_loss: bool) -> bool:
    if isinstance(outcome, Lost):
        return request.repeats or not outcome.sent
    if outcome.status in _BUSY:
        return request.repeats
    return after_loss and outcome.status in request.again_on
