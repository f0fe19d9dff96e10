"""Where requests meet their limits, and how clients are told."""

from http import HTTPStatus
from typing import Any

from flask import Request, Response, g, request

from app.application import ServiceFlask
from app.problem import ProblemError
from app.rate_limits.addresses import caller_of
from app.rate_limits.allowances import Allowances
from app.rate_limits.limits import LimitReachedError, RateLimit, Standing
from config import Config
from libs.flask_celery import WindowCounter

#: What is asked by those who look after the service; refusing them would look like an outage. And the files of the
#: console, of which a page loads dozens, once, from memory.
EXEMPT_ENDPOINTS = frozenset({"service_pages.healthz", "service_pages.readyz", "console.asset"})

#: Endpoints of the API, whose callers are counted by their keys.
_WITH_KEYS = "api_1_0."

_DETAILS = {
    "key": "This key has made as many requests as it may for now.",
    "submit": "This key has submitted as much as it may for now.",
    "address": "There were too many requests from your address without a key that works.",
}


class RateLimits:
    """The limits of this service; each method raises ProblemError 429 when one is reached."""

    def __init__(self, config: Config, allowances: Allowances) -> None:
        self._key = RateLimit.parse("key", config.rate_limit_key)
        self._submit = RateLimit.parse("submit", config.rate_limit_submit)
        self._address = RateLimit.parse("address", config.rate_limit_address)
        self._allowances = allowances

    def spend_caller(self, caller: str, facts: Any, *, submits: bool) -> None:
        """A request with a credential that works: ``caller`` names it. ``facts`` is the request's ``g``."""
        standings = facts.setdefault("rate_standings", [])
        if self._key is not None:
            self._spend(self._key, caller, standings)
        if self._submit is not None and submits:
            self._spend(self._submit, caller, standings)

    def spend_address(self) -> None:
        """A request without one."""
        if self._address is not None:
            self._spend(self._address, caller_of(request.remote_addr), g.setdefault("rate_standings", []))

    def give_back_address(self) -> None:
        """It has one after all."""
        if self._address is not None:
            self._allowances.give_back(self._address, caller_of(request.remote_addr))
            g.rate_standings = [standing for standing in g.rate_standings if standing.limit is not self._address]

    def close(self) -> None:
        """Let go of the connections."""
        self._allowances.close()

    def _spend(self, limit: RateLimit, caller: str, standings: list[Standing]) -> None:
        try:
            standings.append(self._allowances.spend(limit, caller))
        except LimitReachedError as error:
            standings.append(error.standing)
            seconds = error.standing.seconds
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{_DETAILS[limit.name]} It is {limit.quota} in {limit.window} seconds; try again in {seconds}.",
                headers={"Retry-After": str(seconds)},
            ) from error


def init_app(app: ServiceFlask, config: Config) -> None:
    """Limit the requests of ``app``; those of the API are counted as they are authenticated, in ``auth``."""
    celery_app = app.extensions["celery"]
    allowances = Allowances(lambda: WindowCounter(celery_app.backend))
    limits = app.extensions["rate_limits"] = RateLimits(config, allowances)

    def count_what_needs_no_key(asked: Request, _: Any) -> None:
        """Pages, the document, and addresses where there is nothing."""
        endpoint = asked.endpoint or ""
        if endpoint.startswith(_WITH_KEYS) or endpoint in EXEMPT_ENDPOINTS or asked.method == "OPTIONS":
            return
        limits.spend_address()

    app.at_begin(count_what_needs_no_key)
    app.at_end(_tell)


def _tell(_: Request, facts: Any, response: Response) -> None:
    standings = facts.get("rate_standings")
    if standings:
        add = response.headers.add
        add("RateLimit-Policy", ", ".join([standing.limit.policy for standing in standings]))
        add("RateLimit", ", ".join([standing.field for standing in standings]))
