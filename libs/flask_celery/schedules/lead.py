"""Which of several beats leads: the one that holds redbeat's lock."""

import logging
import time
from contextlib import suppress

from redis import Redis
from redis.exceptions import LockError

logger = logging.getLogger(__name__)


class Lead:
    """One beat's claim to it.

    Losing it costs nothing but time: no due time is submitted twice, whoever submits it (see ``firing``). redbeat
    ends its process when the lock is lost, or could not be had for an error; this one asks for it again.

    Args:
        timeout: seconds after which the lead of a beat that was killed passes to another one.
    """

    def __init__(self, client: Redis, name: str, timeout: float) -> None:
        self._lock = client.lock(name, timeout=timeout, blocking=False, thread_local=False)
        self._timeout = timeout
        self._renewed = 0.0
        self._held = False

    def hold(self) -> bool:
        """Take it, or renew it. Raises: redis-py's connection errors; then it is not held as far as is known."""
        if self._held:
            self._held = self._renew()
            if not self._held:
                logger.warning("Another beat leads by now, or the lock is gone")
        elif self._lock.acquire():
            logger.info("This beat leads")
            self._held = True
            self._renewed = time.monotonic()
        return self._held

    def keep(self) -> bool:
        """Whether it is held still; renews it in time."""
        if self._held and time.monotonic() - self._renewed > self._timeout / 4:
            return self.hold()
        return self._held

    def give_up(self) -> None:
        """Let another beat have it at once. Raises: redis-py's connection errors."""
        if self._held:
            self._held = False
            with suppress(LockError):  # another one has it already
                self._lock.release()

    def _renew(self) -> bool:
        try:
            self._lock.reacquire()
        except LockError:
            return False
        self._renewed = time.monotonic()
        return True
