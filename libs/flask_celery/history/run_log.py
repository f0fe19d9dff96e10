"""What one run of a job has logged and not yet passed on."""

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import OutOfMemoryError

from libs.flask_celery.accept_script import OVERTAKEN
from libs.flask_celery.acceptance import position_of
from libs.flask_celery.server_script import RedisRefusesError

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

logger = logging.getLogger(__name__)


class RunLog:
    """Lines in their order, as many as a job's log keeps: of more, the oldest would be dropped there too."""

    def __init__(self, backend: "JobBackendMixin", request: Any) -> None:
        self._backend = backend
        self._request = request
        self._name = ""  # made when there is something to send
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._said = 0  # lines before those that are here
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """One more, as ``telling.encoded_line`` makes it."""
        settings = self._backend.telling
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line)
            while len(self._lines) > settings.log_lines or (
                self._bytes > settings.log_bytes and len(self._lines) > 1
            ):
                self._drop_oldest()

    def pass_on(self, *, has_ended: bool, **patience: Any) -> bool:
        """Add what is here to the job's log. Returns: False when Redis is away; then it is still here.

        Lines of a run that has been overtaken are nobody's, nor are those of one whose outcome was refused.

        Args:
            has_ended: whether the run is over, and its outcome stored.
            patience: for ``Backend.ensure``.
        """
        with self._lock:
            lines, before = tuple(self._lines), self._said
        if not lines:
            return True
        request = self._request
        if not (request.overtaken or request.refused_state):
            try:
                self._send(before, lines, has_ended=has_ended, **patience)
            except self._backend.connection_errors as error:
                logger.warning("What job %s has logged could not be kept: %r", request.id, error)
                return False
        with self._lock:
            while self._lines and self._said < before + len(lines):
                self._drop_oldest()
        return True

    def _send(self, before: int, lines: tuple[str, ...], *, has_ended: bool, **patience: Any) -> None:
        request = self._request

        self._name = self._name or uuid4().hex[:12]

        def send() -> bytes:
            try:
                return self._backend.history.add_lines(
                    request.id, position_of(request)[1], self._name, before, lines, has_ended=has_ended
                )
            except RedisRefusesError as error:
                # A full Redis takes the job's outcome, and that is not to wait for this.
                if not patience and isinstance(error.__cause__, OutOfMemoryError):
                    logger.warning("Redis is full; what job %s has logged last is not kept", request.id)
                    return b""
                raise

        if self._backend.ensure(send, (), **patience) == OVERTAKEN:
            request.overtaken = True

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._lines.popleft())
        self._said += 1
