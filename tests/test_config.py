"""config.py: each setting typed, each mistake named, and the addresses that follow from one another."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from kombu import Connection
from redis import Redis

from app import create_app
from config import Config, ConfigError, embedded_redis_socket, load_config
from libs.local_stack import find_redis_server
from libs.redis_address import RedisAddressError, with_database
from tests.conftest import ROOT, wait_until

NAMES = [field.name.upper() for field in fields(Config)]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing, in a directory without ``.env``."""
    for name in [*NAMES, *(name for name in os.environ if name.startswith("CELERY_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_need_no_environment(tmp_path: Path) -> None:
    config = load_config()

    socket = f"redis+socket://{tmp_path}/var/redis/redis.sock"
    assert config.data_dir == tmp_path / "var"
    assert (config.redis_url, config.redis_is_embedded) == (socket, True)
    assert config.broker_url == f"{socket}?virtual_host=2"
    assert config.result_url == f"{socket}?virtual_host=1"
    assert config.database_url == f"sqlite:///{tmp_path}/var/taskgate.db"
    assert (config.host, config.port, config.role, config.testing) == ("127.0.0.1", 8000, "api", False)
    assert config.timezone == ZoneInfo("UTC")
    assert (config.files_url, config.files_endpoint) == (f"file://{tmp_path}/var/files", "")
    assert (config.upload_quota, config.upload_types, config.upload_expires) == (0, (), 604_800)
    assert (config.celery, config.deployment) == ({}, "")
    assert (config.access_token_ttl, config.secret_key) == (86_400, ())
    assert (config.rate_limit_key, config.rate_limit_submit) == ("6000/minute", "3000/minute")
    assert (config.rate_limit_address, config.trusted_proxies) == ("300/minute", 0)
    assert (config.cors_origins, config.hsts, config.result_limit) == ((), 0, 16 * 1024**2)


def test_each_setting_has_its_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {
        "HOST": "0.0.0.0",
        "PORT": "8080",
        "TIMEZONE": "Asia/Shanghai",
        "LOG_LEVEL": "DEBUG",
        "RESULT_EXPIRES": "60",
        "MAX_BODY": "2048",
        "MAX_UPLOAD": "4096",
        "WORKER_CONCURRENCY": "3",
        "API_PROCESSES": "2",
        "DEPLOYMENT": "acme-2_blue",
        "CELERY_TASK_TIME_LIMIT": "60",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    config = load_config(role="worker")

    assert (config.host, config.port, config.log_level, config.role) == ("0.0.0.0", 8080, "DEBUG", "worker")
    assert config.timezone == ZoneInfo("Asia/Shanghai")
    assert (config.result_expires, config.max_body, config.max_upload) == (60, 2048, 4096)
    assert (config.api_processes, config.worker_concurrency, config.deployment) == (2, 3, "acme-2_blue")
    assert config.celery == {"CELERY_TASK_TIME_LIMIT": "60"}


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        *[("PORT", value, "Not a valid integer.") for value in ("http", "", "80.5", "0x50")],
        *[("PORT", value, "greater than or equal to 1 and less than or equal to 65535") for value in ("0", "65536")],
        *[(name, "0", "greater than or equal to 1.") for name in ("API_PROCESSES", "RESULT_EXPIRES")],
        *[(name, "1023", "greater than or equal to 1024.") for name in ("MAX_BODY", "MAX_UPLOAD")],
        ("WORKER_CONCURRENCY", "-1", "greater than or equal to 1."),
        *[
            ("DEPLOYMENT", value, "Wants up to 32 letters, digits, '-' and '_'.")
            for value in ("a.b", "a:b", "a b", "ä", "a\n", "*", "d" * 33)
        ],
        *[
            (name, value, "a rate such as 600/minute")
            for name in ("RATE_LIMIT_KEY", "RATE_LIMIT_SUBMIT", "RATE_LIMIT_ADDRESS")
            for value in ("600", "600/week", "-1/minute", "0/minute", "1.5/second", "600/minute\n", "1" * 10 + "/day")
        ],
        ("TRUSTED_PROXIES", "-1", "greater than or equal to 0 and"),
        ("HSTS", "-1", "greater than or equal to 0."),
        ("LOG_FORMAT", "xml", "one of: , json, text."),
        ("RESULT_LIMIT", "1023", "greater than or equal to 1024 and"),
        ("LOG_LEVEL", "loud", "one of: DEBUG, INFO, WARNING, ERROR."),
        *[("TIMEZONE", value, "a name such as Europe/Berlin") for value in ("", "Mars/Olympus", "../../etc/passwd")],
        *[
            ("DATABASE_URL", value, "an SQLAlchemy address")
            for value in ("nonsense", "oracle9i://h/x", "mysql+x://h")
        ],
        *[("REDIS_URL", value, "a Redis address") for value in ("http://h", "localhost:6379", "redis://[::1", "//")],
        ("REDIS_URL", "redis://h:port", "a Redis address"),
        ("REDIS_URL", "sentinel://a:1;b:2", "a Redis address"),
        ("REDIS_URL", "unix:///run/redis.sock?password=hunter2", "password before its path"),
        ("RESULT_URL", "amqp://h", "a Redis address"),
        *[("ACCESS_TOKEN_TTL", value, "greater than or equal to 1 and") for value in ("0", "-1", "315360001")],
        *[
            ("SECRET_KEY", value, "32 or more random characters")
            for value in ("s" * 31, f"{'s' * 32},", f",{'s' * 32}", f"{'s' * 32},short", ",")
        ],
        ("RESULT_URL", "db+sqlite:///x", "a Redis address"),
        *[
            ("UPLOAD_TYPES", value, "media types")
            for value in ("csv", "text/", "*/*", "text/csv;x=y", "text/csv text/x")
        ],
        *[(name, "-1", "greater than or equal to 0.") for name in ("UPLOAD_QUOTA", "UPLOAD_EXPIRES")],
        ("FILE_SWEEP_INTERVAL", "0", "greater than or equal to 0.1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_it_wants(
    name: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load_config()

    message = str(caught.value)
    assert message.startswith(name)
    assert wanted in message
    assert "\n" not in message
    assert "[" not in message.removeprefix(value)


def test_media_types_are_listed_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, types in ((" Text/CSV ,image/*", ("text/csv", "image/*")), ("", ()), (" , ", ())):
        monkeypatch.setenv("UPLOAD_TYPES", text)
        assert load_config().upload_types == types


def test_secrets_are_listed_newest_first_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = "hunter2-" + "n" * 32, "hunter2-" + "o" * 32
    for text, wanted in ((new, (new,)), (f" {new} , {old}", (new, old)), ("", ()), (" ", ())):
        monkeypatch.setenv("SECRET_KEY", text)
        config = load_config()
        assert config.secret_key == wanted
        assert "hunter2" not in repr(config)

    monkeypatch.setenv("SECRET_KEY", f"{new},hunter2")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["REDIS_URL", "RESULT_URL", "DATABASE_URL"])
@pytest.mark.parametrize("url", ["http://u:hunter2@h", "redis://u:hunter2/x@h:1", "redis://:x@[hunter2", "hunter2"])
def test_an_address_is_not_repeated_since_it_may_hold_a_password(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, url)

    with pytest.raises(ConfigError) as caught:
        load_config()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("redis_url", "broker", "result"),
    [
        ("redis://h", "redis://h/2", "redis://h/1"),
        ("redis://h:6380/5", "redis://h:6380/2", "redis://h:6380/1"),
        ("redis://u:p%40w@[::1]:6379/", "redis://u:p%40w@[::1]:6379/2", "redis://u:p%40w@[::1]:6379/1"),
        (
            "rediss://h:6379?ssl_cert_reqs=required",
            "rediss://h:6379/2?ssl_cert_reqs=required",
            "rediss://h:6379/1?ssl_cert_reqs=required",
        ),
        (
            "sentinel://:pw@a:26379;sentinel://b:26380/0",
            "sentinel://:pw@a:26379/2;sentinel://b:26380/2",
            "sentinel://:pw@a:26379/1;sentinel://b:26380/1",
        ),
        (
            "unix:///run/r.sock?db=3",
            "redis+socket:///run/r.sock?virtual_host=2",
            "redis+socket:///run/r.sock?virtual_host=1",
        ),
        (
            "redis+socket://:pw@/run/r.sock?virtual_host=7",
            "redis+socket://:pw@/run/r.sock?virtual_host=2",
            "redis+socket://:pw@/run/r.sock?virtual_host=1",
        ),
    ],
)
def test_broker_and_results_are_two_databases_of_one_redis(
    redis_url: str, broker: str, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    config = load_config()

    assert not config.redis_is_embedded
    assert (config.broker_url, config.result_url) == (broker, result)


def test_broker_and_results_can_be_named_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://h")
    monkeypatch.setenv("BROKER_URL", "amqp://guest:guest@rabbit//")
    assert (load_config().broker_url, load_config().result_url) == ("amqp://guest:guest@rabbit//", "redis://h/1")

    monkeypatch.setenv("RESULT_URL", "redis://other/9")
    assert load_config().result_url == "redis://other/9"


def test_the_socket_of_a_deep_data_dir_has_a_short_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep, other = tmp_path / ("d" * 100), tmp_path / ("e" * 100)
    monkeypatch.setenv("DATA_DIR", str(deep))

    socket = embedded_redis_socket(deep)

    assert len(os.fsencode(socket)) < 100
    assert socket == embedded_redis_socket(deep) != embedded_redis_socket(other)
    assert load_config().redis_url == f"redis+socket://{socket}"


@pytest.mark.parametrize("folder", ["plain", "a b%20c", "ключ"])
def test_a_redis_behind_a_socket_is_reached_at_the_address_made_for_it(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kombu as the broker and by Celery's backend, each in its database, with a password."""
    socket = tmp_path / folder / "redis" / "redis.sock"
    socket.parent.mkdir(parents=True)
    server = subprocess.Popen(
        [str(find_redis_server()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--requirepass", "pw"],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(socket.exists, what="Redis")
        monkeypatch.setenv("DATA_DIR", str(tmp_path / folder))
        monkeypatch.setenv("REDIS_URL", load_config().redis_url.replace("redis+socket://", "redis+socket://:pw@"))
        config = load_config()
        app = create_app(config)
        with Connection(config.broker_url) as broker:
            broker.default_channel.client.set("place", "broker")
        backend = app.extensions["celery"].backend
        backend.client.set("place", "results")
        backend.client.close()
        for database, place in ((2, b"broker"), (1, b"results")):
            with Redis(unix_socket_path=str(socket), db=database, password="pw") as client:
                assert client.get("place") == place
    finally:
        server.terminate()
        server.wait(10)


def test_a_dot_env_file_is_read_and_the_environment_is_stronger(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nHOST=127.0.0.2\nCELERY_TASK_TIME_LIMIT=5\n")
    script = "import config; c = config.load_config(); print(c.host, c.port, dict(c.celery))"

    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOST": "127.0.0.3"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert printed == "127.0.0.3 8001 {'CELERY_TASK_TIME_LIMIT': '5'}\n"


def test_a_data_dir_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "var"))

    with pytest.raises(ConfigError, match=r"^DATA_DIR wants a directory"):
        create_app(load_config())


def test_with_database_refuses_what_is_not_redis() -> None:
    with pytest.raises(RedisAddressError, match="REDIS_URL"):
        with_database("memory://", 1)
