"""Ids of many jobs: what ``celery.utils.uuid`` makes one by one, which takes longer than all else about an id."""

import os
from collections.abc import Iterator

from libs.flask_celery.random_uuids import DIGITS, as_uuid

_AT_ONCE = 100


def new_task_ids() -> Iterator[str]:
    """Random UUIDs (RFC 9562, version 4) without end; from the system, since ids are not to be guessed."""
    while True:
        digits = os.urandom(_AT_ONCE * DIGITS // 2).hex()
        for start in range(0, len(digits), DIGITS):
            yield as_uuid(digits[start : start + DIGITS])
