"""The secret of an installation that was given none: made once, kept in its data directory."""

import fcntl
import os
import re
import secrets
from pathlib import Path

_STORED = re.compile(r"[A-Za-z0-9_-]{64}\n")


def stored_secret_key(path: Path) -> str:
    """The secret in ``path``, made there with mode 0600 when there is none; the same for all who ask at once.

    Raises: OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        # Who comes second waits here until the first has written; the lock ends with the file's closing.
        fcntl.flock(file, fcntl.LOCK_EX)
        stored = file.read()
        # Half a secret is one whose writer died: nobody has used it, since it was never read back whole.
        if not _STORED.fullmatch(stored):
            stored = f"{secrets.token_urlsafe(48)}\n"
            os.fchmod(file.fileno(), 0o600)  # of a file that was there, too
            file.seek(0)
            file.truncate()
            file.write(stored)
            file.flush()
            os.fsync(file.fileno())
    return stored.strip()
