"""A redis-py client that sends its commands through a gate."""

from typing import Any

from redis import Redis
from redis.client import Pipeline

from libs.flask_celery.gate import Gate


class GatedRedis(Redis):
    """Every command and every pipeline holds one of the client's places while it is under way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's."""
        with self.gate.place():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> "GatedPipeline":
        """As redis-py's."""
        return GatedPipeline(self.gate, self.connection_pool, self.response_callbacks, transaction, shard_hint)


class GatedPipeline(Pipeline):
    """What a gated client's ``pipeline()`` makes."""

    def __init__(self, gate: Gate, *args: Any) -> None:
        super().__init__(*args)
        self._gate = gate

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """As redis-py's."""
        with self._gate.place():
            return super().execute(raise_on_error)


def impatient_client(backend: Any, timeout: float) -> Redis:
    """Another client of a backend's Redis, each step of which may take ``timeout`` seconds, whatever others' may."""
    steps = ("socket_timeout", "socket_connect_timeout")  # a socket of this host has no second one
    timeouts = {name: timeout for name in steps if name in backend.connparams}
    client: Redis = backend._create_client(**{**backend.connparams, **timeouts})
    return client
