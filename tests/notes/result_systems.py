"""The two systems of the tests of results: each with a worker and a client that know ``result_jobs``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.against_stock.systems import Client, System
from tests.conftest import RedisServer

#: A zone that is neither UTC nor, most often, the machine's.
ZONE = "Asia/Shanghai"

#: For a machine with other things to do than to answer within the time that clients of the API are made to wait.
PATIENT = {"redis_socket_timeout": 20, "broker_transport_options": {"socket_timeout": 20}}


@contextmanager
def working_system(name: str, folder: Path, *options: str) -> Iterator[System]:
    """A worker of four processes, with these options, and a client, on a Redis of their own."""
    redis = RedisServer()
    redis.start()
    system = System(name, redis, folder)
    settings = {"timezone": ZONE} if name == "stock" else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMEZONE", ZONE)
        try:
            environment = system.environment({**settings, **PATIENT})
            system.clients.append(Client(name, environment, folder / "client.log"))
            system.start_worker("-I", "tests.notes.result_jobs", "--concurrency", "4", *options, **settings)
            yield system
        finally:
            system.stop()
            redis.stop(kill=True)


def unlike(system: System, *, stock: Any, ours: Any) -> Any:
    """What is seen of this system, where the two differ on purpose."""
    assert stock != ours
    return {"stock": stock, "ours": ours}[system.name]
