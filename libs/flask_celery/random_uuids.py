"""Random UUIDs (RFC 9562, version 4), as ``str(uuid.uuid4())`` makes them by way of an object."""

import os

#: Hexadecimal digits of one.
DIGITS = 32


def random_uuid() -> str:
    """From the system, since ids of jobs are not to be guessed."""
    return as_uuid(os.urandom(DIGITS // 2).hex())


def as_uuid(digits: str) -> str:
    """Of so many random digits."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
