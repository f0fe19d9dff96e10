"""The embedded Redis keeps what it acknowledged, whoever is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from libs.local_stack import (
    EmbeddedRedis,
    RedisStillRunningError,
)
from tests.local_stack.real_processes import (
    Processes,
    StartRedis,
    append_only_file,
    client_of,
    is_gone,
    store,
    wait_until,
)


def test_data_survive_kill_9_of_the_server(redis: EmbeddedRedis, start_redis: StartRedis) -> None:
    server = start_redis(redis)
    store(redis, kept="yes")
    server.kill()
    # The socket's file is stale now, and must neither hinder nor be taken for a server.
    assert redis.socket_path.exists()
    assert not redis.ready()

    start_redis(redis)
    with client_of(redis) as client:
        assert client.get("kept") == "yes"


def test_truncated_tail_loses_only_the_command_in_it(redis: EmbeddedRedis, start_redis: StartRedis) -> None:
    server = start_redis(redis)
    store(redis, whole="yes")
    store(redis, torn="yes")
    server.kill()
    file = append_only_file(redis)
    os.truncate(file, file.stat().st_size - 3)

    start_redis(redis)
    with client_of(redis) as client:
        assert client.get("whole") == "yes"
        assert client.get("torn") is None


def test_server_of_an_earlier_run_is_replaced_without_loss(redis: EmbeddedRedis, start_redis: StartRedis) -> None:
    earlier = start_redis(redis)
    with client_of(redis) as client:
        client.set("late", "yes")  # Perhaps still in the server's buffer, which its clean end must save.

    second = start_redis(redis)

    assert earlier.process.wait(timeout=10) == 0
    assert second.process.pid != earlier.process.pid
    with client_of(redis) as client:
        assert client.info("server")["process_id"] == second.process.pid
        assert client.get("late") == "yes"


def test_earlier_server_is_found_without_its_socket(redis: EmbeddedRedis, start_redis: StartRedis) -> None:
    earlier = start_redis(redis)
    redis.socket_path.unlink()
    start_redis(redis)
    assert earlier.process.wait(timeout=10) == 0


def test_earlier_server_that_does_not_end_is_not_killed(
    redis: EmbeddedRedis, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.local_stack.redis_server._PREVIOUS_STOP_TIMEOUT", 0.3)
    earlier = start_redis(redis)
    earlier.process.send_signal(signal.SIGSTOP)
    with pytest.raises(RedisStillRunningError) as caught:
        redis.prepare()
    assert caught.value.pid == earlier.process.pid
    assert earlier.process.poll() is None


def test_two_servers_never_have_the_data_at_one_time(
    redis: EmbeddedRedis, start_redis: StartRedis, processes: Processes
) -> None:
    server = start_redis(redis)
    second = processes.start(redis.argv)  # As a supervisor's restart would, without `prepare()`.
    lock = redis.data_dir / "redis.lock"
    wait_until(lambda: _waits_for_lock(second.pid, lock))
    with client_of(redis) as client:
        assert client.info("server")["process_id"] == server.process.pid

    server.kill()
    wait_until(redis.ready)
    assert lock.read_text() == str(second.pid)


def _waits_for_lock(pid: int, lock: Path) -> bool:
    """A "->" in /proc/locks marks a process that waits; see proc_locks(5)."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    inode = f":{lock.stat().st_ino}"
    return any(words[5] == str(pid) and words[6].endswith(inode) for words in waiting)


# Under the supervisor

UP = """
import sys
from pathlib import Path
from libs.local_stack import EmbeddedRedis, Supervisor
folder = Path(sys.argv[1])
redis = EmbeddedRedis(folder / "data", folder / "run" / "redis.sock")
redis.prepare()
with Supervisor([redis.child_spec(folder / "redis.log")], lambda line: print(line, flush=True)) as supervisor:
    supervisor.start()
    print(supervisor.pids()["redis"], flush=True)
    supervisor.run_until_stopped()
"""


def test_server_ends_with_a_killed_supervisor_and_keeps_its_data(
    redis: EmbeddedRedis, start_redis: StartRedis, processes: Processes, short_dir: Path
) -> None:
    supervisor = processes.start_python(UP, str(short_dir))
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline().startswith("redis ready")
    pid = int(supervisor.stdout.readline())
    processes.groups.append(pid)
    with client_of(redis) as client:
        client.set("kept", "yes")
    supervisor.kill()

    start_redis(redis)
    assert is_gone(pid)
    with client_of(redis) as client:
        assert client.get("kept") == "yes"


def test_killed_server_is_restarted_with_its_data(
    redis: EmbeddedRedis, processes: Processes, short_dir: Path
) -> None:
    supervisor = processes.start_python(UP, str(short_dir))
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    pid = int(supervisor.stdout.readline())
    store(redis, kept="yes")
    os.kill(pid, signal.SIGKILL)
    assert "killed by SIGKILL" in supervisor.stdout.readline()
    assert supervisor.stdout.readline() == "redis ready again\n"
    with client_of(redis) as client:
        assert client.get("kept") == "yes"
    supervisor.terminate()
    assert supervisor.wait(timeout=20) == 0
    assert not redis.ready()
