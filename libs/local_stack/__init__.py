"""Runs the whole product on one machine: the embedded Redis, a supervisor, a lock on the data dir."""

from __future__ import annotations

from libs.local_stack.child import ChildSpec
from libs.local_stack.data_dir_lock import DataDirLock
from libs.local_stack.errors import (
    AddressUnusableError,
    ChildFailedError,
    ChildNotReadyError,
    DataDirInUseError,
    LocalStackError,
    PortTakenError,
    RedisDataUnreadableError,
    RedisServerMissingError,
    RedisStillRunningError,
    SocketDirNotOursError,
    SocketPathTooLongError,
    SocketTakenError,
)
from libs.local_stack.ports import port_is_free, require_free_port
from libs.local_stack.redis_server import EmbeddedRedis, find_redis_server
from libs.local_stack.restarts import Backoff
from libs.local_stack.supervisor import Supervisor

__all__ = [
    # Running processes
    "Backoff",
    "ChildSpec",
    "Supervisor",
    # Redis
    "EmbeddedRedis",
    "find_redis_server",
    # Before anything starts
    "DataDirLock",
    "port_is_free",
    "require_free_port",
    # Errors
    "AddressUnusableError",
    "ChildFailedError",
    "ChildNotReadyError",
    "DataDirInUseError",
    "LocalStackError",
    "PortTakenError",
    "RedisDataUnreadableError",
    "RedisServerMissingError",
    "RedisStillRunningError",
    "SocketDirNotOursError",
    "SocketPathTooLongError",
    "SocketTakenError",
]
