"""What Flower is told when it starts for our app: how to count what waits, and to be reached from this host alone.

Flower reads queues with a client of its own (``flower/utils/broker.py``), which takes database 0 of a Redis behind a
socket whatever the address says, the first of several Sentinels, and no TLS options from the address.
"""

import asyncio
import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from libs.flask_celery.broker_side import broker_channel

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


def prepare(celery_app: "FlaskCelery") -> None:
    """Where the command that runs has loaded Flower, as ``celery`` does for its list of commands.

    ``--address``, ``FLOWER_ADDRESS`` and Flower's configuration file are read later, and win.
    """
    views = sys.modules.get("flower.views")
    if views is None:
        return
    sys.modules["flower.options"].options.address = "127.0.0.1"
    views.Broker = partial(_queues_of, celery_app, views.Broker)  # type: ignore[attr-defined]


def _queues_of(celery_app: "FlaskCelery", flowers_own: Any, *args: Any, **options: Any) -> Any:
    """RabbitMQ is asked by Flower itself, over its management API."""
    with celery_app.connection_for_read() as connection:
        is_redis = connection.transport.driver_type == "redis"
    return RedisQueues(celery_app) if is_redis else flowers_own(*args, **options)


class RedisQueues:
    """Stands for Flower's ``Broker``: over our own channel, so that all is as where jobs are published."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._celery_app = celery_app

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """By name, with how many jobs wait. Raises: as :func:`broker_channel`."""
        return await asyncio.get_running_loop().run_in_executor(None, self._count, list(names))

    def _count(self, names: list[str]) -> list[dict[str, Any]]:
        with broker_channel(self._celery_app) as channel:
            if channel is None:
                return []
            with channel.plain_client.pipeline(transaction=False) as pipe:
                lists = {name: channel.lists_of(name) for name in names}  # one a step of priority
                for list_name in chain.from_iterable(lists.values()):
                    pipe.llen(list_name)
                lengths = iter(pipe.execute())
        return [{"name": name, "messages": sum(next(lengths) for _ in own)} for name, own in lists.items()]
