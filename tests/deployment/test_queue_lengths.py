"""What KEDA would find in Redis for the jobs of each queue, and how the compose file's Redis is set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from redis import Redis
from redis.exceptions import AuthenticationError

from config import BROKER_DATABASE
from libs.flask_celery import FlaskCelery
from libs.flask_celery.line_scripts import LINES
from libs.flask_celery.rate_limits import shared_pace
from libs.local_stack.redis_server import find_redis_server
from tests.conftest import ROOT, wait_until
from tests.deployment.manifests import DEPLOY, KUBERNETES, compose, kubernetes_processes, of_kind

#: KEDA's redis trigger counts a list, a set, a sorted set or a hash, whichever the key is.
COUNTS = {"none": "llen", "list": "llen", "set": "scard", "zset": "zcard", "hash": "hlen"}


@pytest.fixture
def broker(redis_url: str) -> Any:
    with Redis.from_url(redis_url, db=BROKER_DATABASE, decode_responses=True) as client:
        yield client


def counted(broker: Any, list_name: str) -> int:
    return int(getattr(broker, COUNTS[broker.type(list_name)])(list_name))


def scaled_objects() -> dict[str, dict[str, Any]]:
    return {each["spec"]["scaleTargetRef"]["name"]: each["spec"] for each in of_kind("scaling", "ScaledObject")}


def test_the_jobs_of_a_queue_are_counted_whatever_their_priorities(app: Flask, broker: Any) -> None:
    celery_app = app.extensions["celery"]
    for process in kubernetes_processes():
        for number, queue in enumerate(process.queues):
            for priority in (None, *range(10)):
                options = {} if priority is None else {"priority": priority}
                for _ in range(number + 1):
                    celery_app.send_task("test.counted", queue=queue, **options)
            celery_app.send_task("test.counted", queue=queue, countdown=3600)

            triggers = scaled_objects()[process.name]["triggers"]
            lengths = {each["name"]: counted(broker, each["metadata"]["listName"]) for each in triggers}

            assert sum(lengths.values()) == 11 * (number + 1)  # and not the one that is delayed
            assert all(lengths.values())


def lines_without_a_trigger(celery_app: FlaskCelery) -> set[str]:
    """Tasks whose rate limit holds for all workers together, and whose line no ScaledObject looks at."""
    limited = {name for name, task in celery_app.tasks.items() if shared_pace(task)}
    triggers = [each for scaled in scaled_objects().values() for each in scaled["triggers"]]
    counted = {each["metadata"]["listName"].partition(":taskgate-line-")[2] for each in triggers}
    return limited - counted


def test_jobs_in_line_for_a_rate_limit_of_all_workers_count(app: Flask) -> None:
    celery_app: FlaskCelery = app.extensions["celery"]
    celery_app.finalize()
    assert lines_without_a_trigger(celery_app) == set()

    @celery_app.task(name="test.limited", rate_limit="10/s", rate_limit_scope="global")  # type: ignore[untyped-decorator]
    def limited() -> None: ...

    assert lines_without_a_trigger(celery_app) == {"test.limited"}  # one of them would be noticed


def test_the_example_of_a_line_is_a_trigger_for_a_key_that_lines_have() -> None:
    text = (KUBERNETES / "README.md").read_text()
    spec = yaml.safe_load(text[text.index("```yaml") + 7 :].partition("```")[0])
    (trigger,) = spec["triggers"]
    formula = spec["advanced"]["scalingModifiers"]["formula"]
    queue, _, line = trigger["metadata"]["listName"].partition(":")

    assert "return list .. ':taskgate-line-' .. limit" in LINES
    assert (queue, line) == ("default", "taskgate-line-reports.fetch")
    assert f"min({trigger['name']}, " in formula


def test_the_redis_of_the_compose_file_keeps_what_it_has_answered(tmp_path: Path) -> None:
    """Its command, run by a real server, with the secret that make-secrets.sh writes."""
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(DEPLOY / "make-secrets.sh", deploy)
    subprocess.run([deploy / "make-secrets.sh"], check=True, capture_output=True, timeout=30)
    secrets = deploy / "secrets"
    program, *words = compose()["services"]["redis"]["command"]
    words = [
        {"/run/secrets/redis_conf": str(secrets / "redis.conf"), "/data": str(tmp_path)}.get(word, word)
        for word in words
    ]
    settings = dict(line.split("=", 1) for line in (secrets / "taskgate.env").read_text().splitlines())
    password = settings["REDIS_URL"].removeprefix("redis://:").partition("@")[0]

    assert program == "redis-server"
    assert secrets.stat().st_mode & 0o777 == 0o700
    socket = tmp_path / "s"
    server = subprocess.Popen(
        [str(find_redis_server()), *words, "--port", "0", "--unixsocket", str(socket)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(socket.exists, timeout=30)
        with Redis(unix_socket_path=str(socket), password=password, decode_responses=True) as client:
            wanted = {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory-policy": "noeviction",
                "dir": str(tmp_path),
            }
            assert {name: client.config_get(name)[name] for name in wanted} == wanted
        with Redis(unix_socket_path=str(socket)) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
    finally:
        server.terminate()
        server.wait(20)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    commands = [subprocess.run([tmp_path / "make-secrets.sh"], check=False, timeout=30) for _ in range(2)]

    assert [command.returncode for command in commands] == [0, 1]
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == {
        Path(secret["file"]).name for secret in compose()["secrets"].values()
    } | {"flower.env"}
    assert (ROOT / "deploy" / compose()["services"]["flower"]["env_file"][0]).name == "flower.env"
