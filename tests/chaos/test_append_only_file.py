"""Reading a real server's append-only file."""

from __future__ import annotations

import json

from redis import Redis

from tests.chaos.append_only_file import written_ends
from tests.conftest import RedisServer


def record(status: str) -> str:
    return json.dumps({"status": status, "result": "\r\n*3\r\n"})


def test_every_final_state_is_counted_whatever_command_wrote_it(redis_server: RedisServer, redis_url: str) -> None:
    with Redis.from_url(redis_url, db=1) as client:
        key = "celery-task-meta-chaos-aof"
        for status in ("PENDING", "STARTED", "SUCCESS"):
            client.set(f"{key}-once", record(status))
        client.set(f"{key}-twice", record("FAILURE"))
        client.execute_command("SETEX", f"{key}-twice", 60, record("SUCCESS"))  # as Celery writes
        script = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)"
        client.eval(script, 1, f"{key}-script", record("REVOKED"))
        client.set("celery-other", record("SUCCESS"))

    found = written_ends(redis_server.folder)

    states = {task_id: states for task_id, states in found.states.items() if task_id.startswith("chaos-aof")}
    assert states == {
        "chaos-aof-once": ["SUCCESS"],
        "chaos-aof-twice": ["FAILURE", "SUCCESS"],
        "chaos-aof-script": ["REVOKED", "REVOKED"],
    }
    assert {"chaos-aof-twice", "chaos-aof-script"} <= found.more_than_once.keys()
    assert "chaos-aof-once" not in found.more_than_once
