"""The names that Celery's settings once had, and what may not be said: two things at once, pickle unasked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from kombu import Queue

from libs.flask_celery import CelerySettings, SettingError
from libs.flask_celery import old_names as module
from libs.flask_celery.celery_config import celery_config
from libs.flask_celery.old_names import environment_name, old_names
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _none_warned_of_yet() -> None:
    module._warn.cache_clear()


def config(code: dict[str, Any] | None = None, *, allow_pickle: bool = False, **overrides: str) -> dict[str, Any]:
    settings = CelerySettings(
        "redis://host/2", "redis://host/1", code=code or {}, overrides=overrides, allow_pickle=allow_pickle
    )
    return celery_config(settings)


@pytest.mark.parametrize(
    ("old", "text", "setting", "value"),
    [
        ("CELERYD_CONCURRENCY", "3", "worker_concurrency", 3),
        ("CELERYD_TASK_SOFT_TIME_LIMIT", "1.5", "task_soft_time_limit", 1.5),
        ("CELERYBEAT_MAX_LOOP_INTERVAL", "2", "beat_max_loop_interval", 2.0),
        ("BROKER_POOL_LIMIT", "7", "broker_pool_limit", 7),
        ("CELERY_ACKS_LATE", "no", "task_acks_late", False),
        ("CELERY_MAX_CACHED_RESULTS", "5", "result_cache_max", 5),
        ("CELERY_TASK_RESULT_EXPIRES", "60", "result_expires", 60.0),
        ("CELERY_MESSAGE_COMPRESSION", "zlib", "task_compression", "zlib"),
        ("CELERY_DISABLE_RATE_LIMITS", "1", "worker_disable_rate_limits", True),
    ],
)
def test_an_old_name_is_understood_and_warned_of_once(
    old: str, text: str, setting: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert config(**{old: text})[setting] == config(**{old: text})[setting] == value

    assert [record.getMessage() for record in caplog.records] == [
        f"{old} is an old name; write {environment_name(setting)}."
    ]


@pytest.mark.parametrize("name", ["CELERY_TIMEZONE", "CELERY_TASK_SERIALIZER", "CELERY_RESULT_BACKEND", "BROKER_URL"])
def test_a_name_that_is_still_the_same_is_no_old_one(name: str, caplog: pytest.LogCaptureFixture) -> None:
    config(**{name: {"CELERY_TIMEZONE": "UTC", "CELERY_TASK_SERIALIZER": "json"}.get(name, "redis://host/5")})

    assert not caplog.records


def test_both_names_may_say_the_same_and_nothing_else() -> None:
    assert config(CELERYD_CONCURRENCY="3", CELERY_WORKER_CONCURRENCY="3")["worker_concurrency"] == 3
    for first, second in ((3, 4), (4, 3)):
        with pytest.raises(SettingError, match="are one setting and differ; keep CELERY_WORKER_CONCURRENCY alone"):
            config(CELERYD_CONCURRENCY=str(first), CELERY_WORKER_CONCURRENCY=str(second))
    with pytest.raises(SettingError, match="keep CELERY_BROKER_URL alone"):
        config(BROKER_URL="redis://host/2", CELERY_BROKER_URL="redis://host/3")


def test_a_wrong_value_is_told_by_the_name_it_was_given_under() -> None:
    with pytest.raises(SettingError, match=r"^CELERYD_PREFETCH_MULTIPLIER: wants a whole number"):
        config(CELERYD_PREFETCH_MULTIPLIER="many")


@pytest.mark.parametrize(
    ("variable", "text", "wants"),
    [
        ("CELERY_TASK_COMPRESSION", "lz9", "zlib or bzip2"),
        ("CELERY_TIMEZONE", "Mars/Olympus", "a name such as Europe/Berlin"),
        ("CELERY_RESULT_EXPIRES", "-5", "seconds"),
        ("CELERY_RESULT_EXPIRES", "inf", "seconds"),
        ("CELERY_RESULT_EXPIRES", "nan", "seconds"),
    ],
)
def test_a_value_that_would_fail_each_job_stops_the_start(variable: str, text: str, wants: str) -> None:
    with pytest.raises(SettingError, match=f"^{variable}: wants {wants}"):
        config(**{variable: text})


@pytest.mark.parametrize("text", ["{'sentinel_kwargs': {'password': 'hunter2'}}", '{"password": "hunter2"'])
def test_what_may_hold_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(SettingError, match=r"^CELERY_BROKER_TRANSPORT_OPTIONS: wants a JSON object$") as raised:
        config(CELERY_BROKER_TRANSPORT_OPTIONS=text)

    assert raised.value.__suppress_context__


def test_a_misspelt_old_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean CELERYD_CONCURRENCY, now CELERY_WORKER_CONCURRENCY"):
        config(CELERYD_CONCURENCY="3")


@pytest.mark.parametrize("name", ["CELERYD_NODES", "CELERYD_PID_FILE", "CELERYBEAT_OPTS", "BROKER_SERVICE_HOST"])
def test_variables_of_service_files_and_orchestrators_are_none_of_ours(name: str) -> None:
    assert repr(config(**{name: "whatever"})) == repr(config())


def test_the_parts_of_an_address_are_not_used_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert "broker_port" not in config(BROKER_PORT="tcp://10.0.0.1:5672")
    assert "BROKER_PORT is not used: the broker's address stands in BROKER_URL." in caplog.text


def test_every_old_name_is_in_the_documentation() -> None:
    text = (Path(ROOT) / "docs" / "settings.md").read_text()

    assert not [name for name in old_names() if name not in module._PARTS_OF_ADDRESS and f"`{name}`" not in text]


# What Python says, and which serialisations may be used.


def test_the_environment_is_stronger_than_the_code() -> None:
    queues = [Queue("default"), Queue("compute")]

    found = config({"task_queues": queues, "task_time_limit": 5}, CELERY_TASK_TIME_LIMIT="7")

    assert (found["task_queues"], found["task_time_limit"]) == (queues, 7.0)
    with pytest.raises(SettingError, match="did you mean task_queues"):
        config({"task_queue": queues})


@pytest.mark.parametrize(
    "variable",
    ["CELERY_TASK_SERIALIZER", "CELERY_RESULT_SERIALIZER", "CELERY_ACCEPT_CONTENT", "CELERY_RESULT_ACCEPT_CONTENT"],
)
@pytest.mark.parametrize("text", ["pickle", "application/x-python-serialize"])
def test_pickle_is_refused_unless_it_is_allowed(variable: str, text: str) -> None:
    value = f"json,{text}" if variable.endswith("CONTENT") else text

    with pytest.raises(SettingError, match=f"{variable}: names pickle, .* set ALLOW_PICKLE=true"):
        config(**{variable: value})

    if text == "pickle":
        assert config(allow_pickle=True, **{variable: value})


def test_records_of_before_a_change_are_read_unless_it_is_said_what_is_accepted() -> None:
    assert set(config(CELERY_RESULT_SERIALIZER="yaml")["result_accept_content"]) == {"json", "msgpack", "yaml"}
    assert "result_accept_content" not in config(CELERY_ACCEPT_CONTENT="json")
    assert config(CELERY_RESULT_ACCEPT_CONTENT="json")["result_accept_content"] == ["json"]


def test_what_is_chosen_is_accepted_and_what_is_not_accepted_cannot_be_chosen() -> None:
    assert config()["accept_content"] == ["json"]
    assert config(CELERY_TASK_SERIALIZER="yaml")["accept_content"] == ["json", "yaml"]
    assert config(CELERY_RESULT_SERIALIZER="msgpack")["accept_content"] == ["json", "msgpack"]
    with pytest.raises(SettingError, match="CELERY_RESULT_SERIALIZER: is yaml, which CELERY_ACCEPT_CONTENT does not"):
        config(CELERY_RESULT_SERIALIZER="yaml", CELERY_ACCEPT_CONTENT="json,msgpack")
    with pytest.raises(SettingError, match="CELERY_ACCEPT_CONTENT: wants json too"):
        config(CELERY_TASK_SERIALIZER="yaml", CELERY_ACCEPT_CONTENT="yaml")
    with pytest.raises(SettingError, match="CELERY_TASK_SERIALIZER: wants json, msgpack, yaml or pickle, not 'toml'"):
        config(CELERY_TASK_SERIALIZER="toml")
