"""Calls of one script on one connection, one of them on its way while the next is put together.

The server and this process then work at the same time: each takes about as long as the other for some hundred jobs.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from redis import ConnectionPool
from redis.exceptions import ResponseError

from libs.flask_celery.server_script import as_unavailable


class ScriptCalls:
    """Nothing is ever sent twice: what was sent and has no answer may have been done."""

    def __init__(self, pool: ConnectionPool, script: str) -> None:
        self._script = script
        self._pool = pool
        self._connection: Any = pool.get_connection()
        self._unanswered: deque[None] = deque()

    def send(self, keys: Sequence[str], arguments: Sequence[Any]) -> None:
        """Raises: redis-py's connection errors."""
        # With its text: to ask whether the server knows the script takes a round trip, and tells nothing of later.
        self._connection.send_command("EVAL", self._script, len(keys), *keys, *arguments)
        self._unanswered.append(None)

    def receive(self) -> Any:
        """The answer to the first call that has none yet. Raises: as ``server_script.run_script``."""
        try:
            answer = self._connection.read_response()
        except ResponseError as error:
            self._unanswered.popleft()
            raise as_unavailable(error) from error
        self._unanswered.popleft()
        return answer

    def close(self) -> None:
        """Give the connection back; one with answers to come is of no use to anybody."""
        if self._unanswered:
            self._connection.disconnect()
        self._pool.release(self._connection)
