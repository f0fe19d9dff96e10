"""Commands over gevent's sockets: the same answers and the same errors as by redis-py's own way."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.socket
import pytest
from redis import Redis
from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.flask_celery import round_trips
from libs.flask_celery.round_trips import round_trip
from tests.conftest import RedisServer


class GreenConnection(Connection):
    """As in a process that gevent has patched."""

    def _connect(self) -> Any:
        sock = gevent.socket.create_connection((self.host, self.port), timeout=self.socket_connect_timeout)
        sock.settimeout(self.socket_timeout)
        return sock


Connect = Callable[..., Connection]


@pytest.fixture(autouse=True)
def _gevent_has_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_trips, "_GreenSocket", gevent.socket.socket)
    monkeypatch.setattr(round_trips, "_getcurrent", gevent.getcurrent)


@pytest.fixture
def connect(redis_url: str) -> Iterator[Connect]:
    with Redis.from_url(redis_url) as client:
        where = client.connection_pool.connection_kwargs
        made: list[Connection] = []

        def connected(**options: Any) -> Connection:
            settings = {"socket_timeout": 30.0, **options}
            made.append(GreenConnection(host=where["host"], port=where["port"], **settings))
            made[-1].connect()
            return made[-1]

        yield connected
        for connection in made:
            connection.disconnect()


def test_answers_small_and_large(connect: Connect) -> None:
    """Larger than what is read at once, and than what a socket's buffer takes at once."""
    connection = connect()
    for size in (0, 1, 65_535, 65_536, 300_000, 8_000_000):
        assert round_trip(connection, "SET", "a", "x" * size) == b"OK"
        assert round_trip(connection, "MGET", "a", "none") == [b"x" * size, None]


def test_an_error_is_raised_and_the_connection_goes_on(connect: Connect) -> None:
    connection = connect()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        round_trip(connection, "RPUSH", "a", "x") and round_trip(connection, "GET", "a")
    assert round_trip(connection, "LLEN", "a") == 1


def test_others_go_on_while_one_waits(connect: Connect) -> None:
    connection, other = connect(), connect()
    waits = gevent.spawn(round_trip, connection, "BLPOP", "list", 30)
    gevent.sleep(0.05)
    assert not waits.ready()
    assert round_trip(other, "RPUSH", "list", "x") == 1
    assert waits.get(timeout=30) == [b"list", b"x"]


def test_a_redis_that_says_nothing_is_a_time_out(connect: Connect, redis_server: RedisServer) -> None:
    connection = connect(socket_timeout=0.3)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(RedisTimeoutError):
            round_trip(connection, "GET", "a")
        assert 0.25 < time.monotonic() - began < 10
    finally:
        redis_server.process.send_signal(signal.SIGCONT)


def test_the_time_begins_with_the_command(connect: Connect) -> None:
    """gevent's loop, by whose time it ends, has not turned while the code before it was busy."""
    connection = connect(socket_timeout=0.5)
    gevent.sleep(0)
    busy_until = time.monotonic() + 0.8
    while time.monotonic() < busy_until:
        pass
    assert round_trip(connection, "BLPOP", "nothing", 0.1) is None


def test_without_a_time_out_it_is_waited_for(connect: Connect) -> None:
    assert round_trip(connect(socket_timeout=None), "BLPOP", "nothing", 0.1) is None


def test_a_connection_that_was_cut_is_an_error_of_redis_pys(connect: Connect) -> None:
    connection, other = connect(), connect()
    assert round_trip(other, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1
    with pytest.raises(RedisConnectionError):
        round_trip(connection, "GET", "a")


def test_a_connection_that_is_cut_while_one_waits_is_one_too(connect: Connect) -> None:
    connection, other = connect(), connect()
    waits = gevent.spawn(round_trip, connection, "BLPOP", "list", 30)
    gevent.sleep(0.05)
    round_trip(other, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(RedisConnectionError):
        waits.get(timeout=30)


def test_a_connection_whose_health_is_due_is_looked_at_first(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(health_check_interval=25)
    pings: list[bool] = []
    monkeypatch.setattr(connection, "_send_ping", lambda: pings.append(True))

    round_trip(connection, "GET", "a")
    assert pings == []
    connection.next_health_check = time.monotonic() - 1
    round_trip(connection, "GET", "a")
    round_trip(connection, "GET", "a")

    assert pings == [True]


def test_what_is_more_than_a_socket_is_left_to_redis_py() -> None:
    """As one with TLS, within which is one without."""

    class Encrypted(gevent.socket.socket):
        pass

    said: list[bytes] = []
    with Encrypted() as sock:
        connection = SimpleNamespace(
            _sock=sock, send_packed_command=said.extend, read_response=lambda: b"read by redis-py"
        )
        assert round_trip(connection, "GET", "a") == b"read by redis-py"
    assert said == [b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"]


def test_commands_go_over_the_wire_as_redis_py_packs_them(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("EVALSHA", "0" * 40, 2, "a key", b"\x00\xff", "", "ключ \r\n", 0, -1, 1.5, 1795911228000, "x" * 9000)
    with Redis.from_url(redis_url) as client:
        connection = client.connection_pool.get_connection()
        expected = b"".join(connection.pack_command(*command))
        said: list[bytes] = []
        monkeypatch.setattr(connection, "send_packed_command", said.extend)
        monkeypatch.setattr(connection, "read_response", lambda: None)
        round_trip(connection, *command)
        client.connection_pool.release(connection)

    assert b"".join(said) == expected
