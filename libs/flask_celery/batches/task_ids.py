"""Ids of many jobs: what ``celery.utils.uuid`` makes one by one, which takes longer than all else about an id."""

import os
from collections.abc import Iterator

_AT_ONCE = 100
_BYTES = 16


def new_task_ids() -> Iterator[str]:
    """Random UUIDs (RFC 9562, version 4) without end; from the system, since ids are not to be guessed."""
    while True:
        digits = os.urandom(_AT_ONCE * _BYTES).hex()
        for start in range(0, len(digits), 2 * _BYTES):
            some = digits[start : start + 2 * _BYTES]
            variant = "89ab"[int(some[16], 16) & 3]
            yield f"{some[:8]}-{some[8:12]}-4{some[13:16]}-{variant}{some[17:20]}-{some[20:]}"
