"""A command and its answer over a connection of redis-py's, without what gevent's sockets add to each.

gevent's ``sendall`` asks the system for the size of the socket's buffer each time, and to wait with a time-out it
makes an object that takes longer than the system calls. What is out of the ordinary, and what an answer means, is
left to redis-py.
"""

import sys
from typing import Any

from hiredis import pack_command
from redis.exceptions import TimeoutError as RedisTimeoutError

#: Where gevent has taken the place of the standard library, which it does before all else. One with TLS is of another
#: class, and what goes over the wire is not what is given to it.
_GreenSocket: Any = getattr(sys.modules.get("gevent.socket"), "socket", None)
_getcurrent: Any = getattr(sys.modules.get("gevent"), "getcurrent", None)

_MOST_AT_ONCE = 65_536


def round_trip(connection: Any, *command: Any) -> Any:
    """The answer to the command. Raises: redis-py's errors.

    After another one than ResponseError what is on its way there is nobody's any more, so that the caller is to
    disconnect it.
    """
    # redis-py's own way there (redis/connection.py, ``HiredisRespSerializer``) looks at the type of each argument
    # once more, which takes twice as long as the packing.
    data = pack_command(command)
    if type(connection._sock) is not _GreenSocket:
        connection.send_packed_command([data])
        return connection.read_response()
    connection.check_health()
    _send(connection, data)
    _await_answer(connection)
    return connection.read_response()


def _send(connection: Any, data: bytes) -> None:
    try:
        sent = connection._sock._sock.send(data)  # the system's socket, which never waits
    except OSError:  # its buffer is full; or it is broken, which redis-py finds out again and says
        sent = 0
    if sent < len(data):
        connection.send_packed_command([data[sent:]], check_health=False)


def _await_answer(connection: Any) -> None:
    """Returns once there is something to read, which may have been read already. Raises: redis-py's TimeoutError."""
    sock = connection._sock
    try:
        answer = sock._sock.recv(_MOST_AT_ONCE)
    except BlockingIOError:
        _wait(sock)
    except OSError:  # as above
        pass
    else:
        if answer:
            connection._parser._reader.feed(answer)


def _wait(sock: Any) -> None:
    hub = sock.hub
    if sock.timeout is None:
        hub.wait(sock._read_event)
        return
    timer = hub.loop.timer(sock.timeout)
    # The loop's time is that of its last turn, and much may have been done since.
    timer.start(_getcurrent().throw, RedisTimeoutError("Timeout reading from socket"), update=True)
    try:
        hub.wait(sock._read_event)
    finally:
        timer.close()
