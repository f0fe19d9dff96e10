"""Lua scripts over a connection of redis-py's without its client: for what every request does.

The client makes a chain of objects for each command, and its pool asks the operating system whether a connection is
readable in a way that costs a greenlet more than the command itself. A connection knows all that matters here: its
address and time-outs, the handshake, the parser and the errors.
"""

import os
import socket
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.flask_celery.round_trips import round_trip
from libs.flask_celery.server_script import as_unavailable, script_sha


class DirectCalls:
    """Of the Redis that a pool is for, over connections of its own. For any thread, after a fork too.

    It keeps as many connections as were ever in use at once; who calls sees to it that these are not too many
    (``gate``).

    Args:
        looks_first: whether a connection that the server has closed meanwhile is made anew, instead of failing. That
            takes a system call more for each script, or two.
    """

    def __init__(self, pool: ConnectionPool, *, looks_first: bool = True) -> None:
        self._looks_first = looks_first
        self._connect = pool.connection_class
        self._arguments = pool.connection_kwargs
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """As ``server_script.run_script``."""
        connection = self._connection()
        try:
            try:
                answer = round_trip(connection, "EVALSHA", script_sha(script), len(keys), *keys, *arguments)
            except NoScriptError:  # the server was restarted or its scripts were flushed
                answer = round_trip(connection, "EVAL", script, len(keys), *keys, *arguments)
        except ResponseError as error:
            self._idle.append(connection)
            raise as_unavailable(error) from error
        except BaseException:
            # Whatever is on its way there is no longer anybody's answer.
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answer

    def run_script_often(self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run it for each of these keys and arguments, in one round trip.

        Returns: the answers; for a call that could not be answered so, the exception that says why, and whoever
            calls may try it again by :meth:`run_script`.
        """
        sha = script_sha(script)
        connection = self._connection()
        try:
            commands = (pack_command(("EVALSHA", sha, len(keys), *keys, *arguments)) for keys, arguments in calls)
            connection.send_packed_command([b"".join(commands)])  # in one piece: it sends each for itself
            answers = [_answer(connection) for _ in calls]
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            connection.disconnect()
            return [error] * len(calls)
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answers

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        while self._idle:
            self._idle.pop().disconnect()

    def _connection(self) -> Any:
        if self._pid != os.getpid():
            self._pid, self._idle = os.getpid(), []  # the other process's
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._connect(**self._arguments)
        if self._looks_first and _was_closed(connection):
            connection.disconnect()  # it connects again as it sends
        return connection


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _was_closed(connection: Any) -> bool:
    """Whether the server has hung up, or said what nobody has asked for."""
    # gevent's socket has the operating system's, which never waits, within it.
    raw = getattr(connection._sock, "_sock", None)
    if raw is None or hasattr(connection._sock, "pending"):
        try:
            return bool(connection._sock is not None and connection.can_read())
        except (OSError, RedisConnectionError):
            return True
    try:
        raw.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
