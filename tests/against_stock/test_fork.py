"""Connections made before a fork.

Stock: nothing of Celery's knows Flask-SQLAlchemy, so that a prefork child goes on with the database connection of its
parent, as its siblings do; and nothing of it sees ``os.fork``, so that processes forked by a server that has loaded
the application, and published, share one socket to Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from uuid import uuid4

from redis import Redis

from tests.against_stock.systems import System, contrast


class Maker(StrEnum):
    PARENT = "the worker's parent process"
    CHILD = "the child that runs the job"


def observe_database(system: System) -> Maker:
    system.start_worker("--pool", "prefork", "--concurrency", "1")
    job = system.publish("probe.connection_made_by")
    assert system.ended(job) == "SUCCESS"
    seen = system.meta(job)["result"]
    assert seen["pid"] != seen["parent"]
    return {seen["parent"]: Maker.PARENT, seen["pid"]: Maker.CHILD}[seen["made_by"]]


@contrast(stock=Maker.PARENT, ours=Maker.CHILD)
def test_a_database_connection_is_its_own_processs(system: System, expected: Maker) -> None:
    assert observe_database(system) is expected


def sockets_used(system: System, action: Callable[[], object]) -> set[str]:
    """Addresses of the clients that have sent something to Redis meanwhile."""
    end = uuid4().hex
    used = set()
    with Redis.from_url(system.redis.url, single_connection_client=True) as last, system.broker.monitor() as monitor:
        own = last.client_info()["addr"]
        action()
        last.echo(end)
        for seen in monitor.listen():
            address = f"{seen['client_address']}:{seen['client_port']}"
            if end in seen["command"]:
                return used - {own}
            if seen["client_type"] == "tcp":  # what a script does has the script's caller
                used.add(address)
    raise AssertionError("the monitor has ended")


def observe_redis(system: System) -> bool:
    """Whether a process and its child have used one socket."""
    parents = sockets_used(system, lambda: system.publish("probe.work", "from the parent"))
    childs = sockets_used(system, lambda: system.client.ask("publish_in_child"))
    assert parents
    assert childs
    assert system.broker.llen("default") == 2
    return bool(parents & childs)


@contrast(stock=True, ours=False)
def test_a_socket_to_redis_is_its_own_processs(system: System, expected: bool) -> None:
    assert observe_redis(system) is expected
