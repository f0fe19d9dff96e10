"""``manage.py doctor``: each thing is broken, and each is found and said what to do about."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.doctor import Finding, Level, examine, examining, redis_servers
from app.doctor.disks import check_disks
from app.extensions import db
from config import Config
from libs.flask_celery import queues_in_use
from tests.app.test_commands import manage
from tests.conftest import RedisServer, built_app
from tests.installation import Installation, an_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One in which all is well: with a worker for each queue, a beat's lock, and a key."""
    with an_installation(tmp_path_factory.mktemp("doctor")) as installation:
        installation.headers("ann")
        celery_app = installation.app.extensions["celery"]
        queues = ",".join(queues_in_use(celery_app))
        installation.start_worker("--pool", "solo", "--queues", queues)
        celery_app.backend.client.set(celery_app.redbeat_conf.lock_key, "a beat")
        yield installation


def found(app: Flask, check: str = "", level: Level | None = Level.PROBLEM) -> list[Finding]:
    return [one for one in examine(app) if check in ("", one.check) and level in (None, one.level)]


def said(findings: list[Finding]) -> str:
    return " ".join(f"{one.message} {one.advice}" for one in findings)


def test_all_is_well(installation: Installation) -> None:
    findings = list(examine(installation.app))

    assert [one for one in findings if one.level is Level.PROBLEM] == []
    assert {one.check for one in findings} >= {"redis", "clock", "database", "workers", "queues", "beat", "disks"}
    assert all(one.advice == "" for one in findings if one.level is Level.OK)


@pytest.mark.parametrize(
    ("setting", "broken", "sound", "advice"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "noeviction"),
        ("appendonly", "no", "yes", "appendonly yes"),
    ],
)
def test_a_redis_that_does_not_keep(
    setting: str, broken: str, sound: str, advice: str, installation: Installation
) -> None:
    client = installation.backend.client
    client.config_set(setting, broken)
    try:
        assert advice in said(found(installation.app, "redis"))
    finally:
        client.config_set(setting, sound)
    assert found(installation.app, "redis") == []


def test_a_redis_that_is_nearly_full(installation: Installation) -> None:
    client = installation.backend.client
    client.config_set("maxmemory", int(client.info()["used_memory"] * 1.05))
    try:
        assert "Raise maxmemory" in said(found(installation.app, "redis", Level.WARNING))
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("seconds", [-30, 30])
def test_clocks_that_differ(seconds: float, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherClock:
        @staticmethod
        def time() -> float:
            return time.time() + seconds

    monkeypatch.setattr(redis_servers, "time", OtherClock)

    assert "differ by 30.0 s" in said(found(installation.app, "clock"))


def test_a_queue_that_nobody_consumes(installation: Installation) -> None:
    installation.app.extensions["celery"].send_task("maintenance.adds", (1, 2), queue="forgotten")
    try:
        told = said(found(installation.app, "queues"))
        assert "Nobody consumes the queue forgotten; 1 jobs wait in it." in told
        assert "-Q forgotten" in told
    finally:
        installation.app.extensions["celery"].control.purge()


def test_without_a_beat_and_a_worker(app: Flask) -> None:
    problems = found(app)

    assert {one.check for one in problems} >= {"workers", "queues", "beat"}
    assert "celery worker" in said(problems).replace("-A libs.flask_celery:celery_app ", "")
    assert "There is no API key" in said(found(app, "database", Level.WARNING))


def test_a_database_without_its_tables(app: Flask) -> None:
    with app.app_context():
        db.drop_all()

    assert "Run manage.py db upgrade." in said(found(app, "database"))


def test_a_database_that_is_away(config: Config, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "create_all", lambda: None)
        with built_app(replace(config, database_url=f"sqlite:///{tmp_path}/no/such/folder.db")) as app:
            assert "does not answer (OperationalError)" in said(found(app, "database"))


def test_a_redis_that_is_away_is_told_once(app: Flask, redis_server: RedisServer) -> None:
    redis_server.stop()

    (problem,) = found(app, "redis")

    assert "does not answer" in problem.message
    assert not {one.check for one in found(app)} & {"workers", "queues", "beat"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"allow_pickle": True}, "ALLOW_PICKLE"),
        ({"cors_origins": ("*",)}, "CORS_ORIGINS"),
        ({"webhook_allow_http": True}, "WEBHOOK_ALLOW_HTTP"),
        ({"host": "0.0.0.0", "rate_limit_address": "0"}, "RATE_LIMIT_ADDRESS"),
        ({"host": "0.0.0.0", "redis_is_embedded": True}, "REDIS_URL"),
        ({"secret_key": ()}, "SECRET_KEY"),
    ],
)
def test_ill_advised_settings(app: Flask, changes: dict[str, Any], word: str) -> None:
    sound = replace(app.config["TASKGATE"], secret_key=("x" * 40,))
    app.config["TASKGATE"] = sound
    assert word not in said(found(app, "settings", Level.WARNING))

    app.config["TASKGATE"] = replace(sound, **changes)

    assert word in said(found(app, "settings", Level.WARNING))


def test_a_name_in_env_that_nobody_reads(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RESULT_EXPIRE=geheim\nRESULT_URL=redis://:geheim@host\nPORT=1\nAWS_REGION=x\n")

    (problem,) = found(app, "settings")

    assert (problem.message, problem.advice) == (
        ".env sets RESULT_EXPIRE, which is no setting.",
        "RESULT_EXPIRES is meant?",
    )


def test_a_secret_that_others_can_read(app: Flask) -> None:
    path = app.config["TASKGATE"].data_dir / "dev.key"
    path.touch(mode=0o600)
    assert found(app, "settings") == []

    path.chmod(0o644)

    assert f"chmod 600 {path}" in said(found(app, "settings"))


def test_a_place_for_files_that_is_none(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    app.config["TASKGATE"] = replace(app.config["TASKGATE"], files_url=f"file://{tmp_path}/file/below")

    assert "cannot be written" in said(found(app, "disks"))


@pytest.mark.parametrize(("mib", "level"), [(50, Level.PROBLEM), (500, Level.WARNING), (5_000, Level.OK)])
def test_a_disk_that_is_nearly_full(app: Flask, mib: int, level: Level) -> None:
    findings = list(check_disks(app, lambda _: mib * 1024**2))

    assert {one.level for one in findings} == {level}


def test_a_check_that_breaks_off_keeps_nobody_from_the_others(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_luck(_: Flask) -> Iterator[Finding]:
        raise RuntimeError("geheim")
        yield

    monkeypatch.setattr(examining, "_CHECKS", (check_luck, *examining._CHECKS))

    findings = list(examine(app))

    assert findings[0].message == "This could not be looked at (RuntimeError)."
    assert len({one.check for one in findings}) > 3
    assert "geheim" not in said(findings)


def test_the_command_says_it_for_people(app: Flask, environment: dict[str, str]) -> None:
    plain = manage(environment, "doctor")
    assert plain.returncode == 1
    assert "No worker answered" in plain.stdout
    assert "→ Start one: celery" in plain.stdout
    assert plain.stdout.endswith(" wrong.\n")


def test_the_command_says_it_for_scripts_and_shows_no_secret(environment: dict[str, str]) -> None:
    secrets = {
        "REDIS_URL": "redis://:geheim@127.0.0.1:9",
        "DATABASE_URL": "postgresql+psycopg://user:geheim@127.0.0.1:9/x",
        "SECRET_KEY": "geheim" * 10,
    }
    scripted = manage(environment, "doctor", "--json", **secrets)
    document = json.loads(scripted.stdout)
    assert (scripted.returncode, document["ok"]) == (1, False)
    assert {one["check"] for one in document["findings"] if one["level"] == "problem"} == {"redis", "database"}
    assert "geheim" not in scripted.stdout + scripted.stderr


def test_a_setting_that_cannot_be_used_is_a_finding(environment: dict[str, str]) -> None:
    done = manage(environment, "doctor", "--json", PORT="eighty")

    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["message"] == "PORT is not valid: Not a valid integer."
