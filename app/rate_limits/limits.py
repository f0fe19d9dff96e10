"""What a limit is: so many requests in a window of time."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class RateLimit:
    """``quota`` requests in ``window`` seconds, under the name by which clients are told of it."""

    name: str
    quota: int
    window: int

    @classmethod
    def parse(cls, name: str, text: str) -> "RateLimit | None":
        """From ``600/minute``; None for ``0``. The settings have been checked when they were read."""
        quota, _, unit = text.partition("/")
        return cls(name, int(quota), SECONDS[unit]) if unit else None

    @cached_property
    def policy(self) -> str:
        """As in ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.quota};w={self.window}'


class Standing(NamedTuple):
    """How somebody stands with a limit: requests left, as far as this process knows, and seconds until all are."""

    limit: RateLimit
    remaining: int
    seconds: int

    @property
    def field(self) -> str:
        """As in ``RateLimit``."""
        return f'"{self.limit.name}";r={self.remaining};t={self.seconds}'


class LimitReachedError(Exception):
    """There are no requests left in this window."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing)
        self.standing = standing
