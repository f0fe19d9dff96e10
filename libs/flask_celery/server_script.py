"""Calling the Lua scripts, and what a server means that refuses one."""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

#: How a server begins to say that it takes no writes for now: no disk, no replicas, busy. redis-py has classes for
#: the rest.
_REFUSALS = ("MISCONF", "NOREPLICAS", "BUSY", "UNBLOCKED")
_REFUSING_ERRORS = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError)


class RedisRefusesError(RedisConnectionError):
    """The server answers, and refuses to write for now. To callers it is as good as away."""


@functools.cache
def script_sha(script: str) -> str:
    """What EVALSHA knows a script by."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def run_script(client: "Redis", script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Run a script, sending its text only when the server does not know it.

    Raises: RedisRefusesError, and redis-py's own connection errors.
    """
    try:
        try:
            return client.evalsha(script_sha(script), len(keys), *keys, *arguments)
        except NoScriptError:  # the server was restarted or its scripts were flushed
            return client.eval(script, len(keys), *keys, *arguments)
    except ResponseError as error:
        raise as_unavailable(error) from error


def run_pipelined(client: "Redis", script: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
    """Run a script so many times in one round trip. Returns: what each call, keys and arguments, has answered.

    Raises: as :func:`run_script`, for the first call that failed; others may have been run.
    """
    if not calls:
        return []
    sha = client.script_load(script)
    with client.pipeline(transaction=False) as pipe:
        for keys, arguments in calls:
            pipe.evalsha(sha, len(keys), *keys, *arguments)
        try:
            return list(pipe.execute())
        except ResponseError as error:
            raise as_unavailable(error) from error


def as_unavailable(error: ResponseError) -> Exception:
    """The error to raise in place of ``error``: RedisRefusesError when it will pass, else ``error`` itself."""
    passes = isinstance(error, _REFUSING_ERRORS) or str(error).startswith(_REFUSALS)
    return RedisRefusesError(str(error)) if passes else error
