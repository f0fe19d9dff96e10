"""Counters in the result database that start anew with each window of time, shared by all processes."""

from typing import Any

from libs.flask_celery.gated_client import impatient_client
from libs.flask_celery.server_script import run_script

#: Seconds that a counter may take. Whoever counts can do without, so that it is less than other commands have.
TIMEOUT = 0.1

# The window begins with its first count and ends by itself.
_ADD = """
local used = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[2])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {used, left}
"""


class WindowCounter:
    """Counts in the Redis of ``backend``, by whatever form of address, under its deployment's prefix."""

    def __init__(self, backend: Any) -> None:
        self._client = impatient_client(backend, TIMEOUT)
        self._prefix = f"{backend.keys.prefix}taskgate-count-"

    def add(self, name: str, amount: int, window: float) -> tuple[int, float]:
        """Add to the counter. Returns: its value and the seconds that its window still has.

        Raises: redis-py's ConnectionError and TimeoutError.
        """
        used, left = run_script(self._client, _ADD, [f"{self._prefix}{name}"], [amount, round(window * 1000)])
        return int(used), int(left) / 1000

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
