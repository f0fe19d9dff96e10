"""Celery's settings: what each role gets, where the records are, and the environment's say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten

from libs.flask_celery import CelerySettings, Role, SettingError
from libs.flask_celery.celery_config import API_TIMEOUT, SILENCE, celery_config, route_job
from libs.flask_celery.overrides import typed_overrides
from libs.flask_celery.record_place import record_place
from libs.flask_celery.transport import OPTION, RecordPlace


def settings(role: Role = Role.API, **overrides: str) -> CelerySettings:
    return CelerySettings("redis://host:6379/2", "redis://host:6379/1", role=role, overrides=overrides)


def test_a_socket_of_this_host_is_not_timed_and_another_redis_beside_it_is() -> None:
    given = replace(settings(Role.WORKER), broker_url="redis+socket:///run/redis.sock?virtual_host=2")
    config = celery_config(given)
    assert config["broker_transport_options"]["socket_timeout"] is None
    assert config["redis_socket_timeout"] == SILENCE

    given = replace(given, result_url="redis+socket:///run/redis.sock?virtual_host=1")
    config = celery_config(given)
    assert config["redis_socket_timeout"] is config["redis_socket_connect_timeout"] is None
    named = celery_config(replace(given, overrides={"CELERY_BROKER_URL": "redis://localhost/2"}))
    assert named["broker_transport_options"]["socket_timeout"] == SILENCE


@pytest.mark.parametrize("role", Role)
def test_celery_knows_every_setting(role: Role) -> None:
    # Read in celery/backends/base.py, and in no table of settings.
    known = {*dict(flatten(NAMESPACES)), "result_backend_thread_safe"}

    config = celery_config(settings(role))

    assert config.keys() <= known
    Celery("checks", set_as_current=False, config_source=config).conf.humanize()


def test_the_api_fails_fast_and_the_worker_keeps_trying() -> None:
    api, worker = celery_config(settings(Role.API)), celery_config(settings(Role.WORKER))

    assert api["task_publish_retry"] is False
    assert api["redis_socket_timeout"] == api["broker_transport_options"]["socket_timeout"] == API_TIMEOUT
    assert api["result_backend_transport_options"] == {"retry_policy": {"max_retries": 0}}
    assert not api.get("result_backend_always_retry")
    assert worker["result_backend_always_retry"] is True
    assert worker["broker_connection_max_retries"] is None
    assert worker["redis_socket_timeout"] == worker["broker_transport_options"]["socket_timeout"] == SILENCE
    assert SILENCE > 20 * API_TIMEOUT
    assert "task_publish_retry" not in worker


@pytest.mark.parametrize("role", Role)
def test_what_both_roles_promise(role: Role) -> None:
    config = celery_config(settings(role))

    for name in ("task_acks_late", "task_retry_on_worker_lost", "task_track_started", "result_backend_thread_safe"):
        assert config[name] is True, name
    assert config["accept_content"] == ["json"]
    assert config["worker_prefetch_multiplier"] == 1
    assert config["broker_transport_options"][OPTION] == {"database": 1, "prefix": "", "serializer": "json"}


@pytest.mark.parametrize(
    ("broker", "result", "database"),
    [
        ("redis://host/2", "redis://host/1", 1),
        ("redis://host:6379/2", "redis://host/1", 1),
        ("redis://host", "redis://host", 0),
        ("redis://:secret@host/2", "redis://other:one@host/1", 1),
        ("rediss://host/2?ssl_cert_reqs=required", "rediss://host/1?ssl_cert_reqs=required", 1),
        ("redis+socket:///run/redis.sock?virtual_host=2", "redis+socket:///run/redis.sock?virtual_host=1", 1),
        ("redis+socket:///run/redis.sock", "redis+socket:///run/redis.sock", 0),
        ("sentinel://a:1/2;sentinel://b:1/2", "sentinel://b:1/1;sentinel://a:1/1", 1),
        ("sentinel://a/2", "sentinel://a:26379/1", 1),
    ],
)
def test_records_on_the_brokers_server_are_written_with_the_message(broker: str, result: str, database: int) -> None:
    assert record_place(broker, result) == RecordPlace(database=database)


@pytest.mark.parametrize(
    ("broker", "result"),
    [
        ("redis://host/2", "redis://elsewhere/1"),
        ("redis://host:1/2", "redis://host:2/1"),
        ("redis://host/2", "rediss://host/1"),
        ("amqp://host//", "redis://host/1"),
        ("memory://", "redis://host/1"),
        ("redis+socket:///a.sock?virtual_host=2", "redis+socket:///b.sock?virtual_host=1"),
        ("redis+socket:///a.sock?virtual_host=2", "redis://host/1"),
        ("sentinel://a:1/2;sentinel://b:1/2", "sentinel://a:1/1;sentinel://c:1/1"),
        ("redis://a/2;redis://b/2", "redis://a/1"),
        ("redis://host/2", "redis://host/one"),
    ],
)
def test_records_elsewhere_are_not(broker: str, result: str) -> None:
    assert record_place(broker, result) is None


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CELERY_TASK_TIME_LIMIT", "60", 60.0),
        ("CELERY_WORKER_CONCURRENCY", "3", 3),
        ("CELERY_RESULT_CHORD_JOIN_TIMEOUT", "2.5", 2.5),
        ("CELERY_TASK_ACKS_LATE", "No", False),
        ("CELERY_TASK_SEND_SENT_EVENT", "on", True),
        ("CELERY_TASK_DEFAULT_QUEUE", "12", "12"),
        ("CELERY_ACCEPT_CONTENT", "json, yaml,", ["json", "yaml"]),
        ("CELERY_TASK_ANNOTATIONS", '{"*": {"rate_limit": "10/s"}}', {"*": {"rate_limit": "10/s"}}),
        ("CELERY_WORKER_CONCURRENCY", "a.module:decide", "a.module:decide"),
    ],
)
def test_overrides_have_the_type_celery_gives_them(variable: str, text: str, value: object) -> None:
    option = variable.removeprefix("CELERY_").lower()

    typed = typed_overrides({variable: text})

    assert typed == {option: value}
    assert type(typed[option]) is type(value) or typed[option] == value
    assert celery_config(settings(**{variable: text}))[option] == value


@pytest.mark.parametrize(
    ("variable", "text", "wanted"),
    [
        ("CELERY_WORKER_PREFETCH_MULTIPLIER", "many", "a whole number"),
        ("CELERY_WORKER_PREFETCH_MULTIPLIER", "", "a whole number"),
        ("CELERY_TASK_TIME_LIMIT", "soon", "a number"),
        ("CELERY_TASK_ACKS_LATE", "maybe", "true or false"),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", "{", "a JSON object"),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", "[1]", "a JSON object"),
    ],
)
def test_an_override_of_another_type_names_the_variable_and_what_it_wants(
    variable: str, text: str, wanted: str
) -> None:
    with pytest.raises(SettingError) as caught:
        celery_config(settings(**{variable: text}))

    assert caught.value.name == variable
    assert str(caught.value).startswith(f"{variable}: wants {wanted}")


def test_an_unknown_override_is_refused_with_the_nearest_real_name() -> None:
    with pytest.raises(SettingError) as caught:
        celery_config(settings(CELERY_TASK_TIME_LIMITT="60"))

    assert str(caught.value) == (
        "CELERY_TASK_TIME_LIMITT: is not a Celery setting; did you mean CELERY_TASK_TIME_LIMIT?"
    )


@pytest.mark.parametrize(
    "variable",
    [
        "CELERY_LOG_LEVEL",  # a worker sets it for what its jobs start
        "CELERY_LOG_FILE",
        "CELERY_CONFIG_MODULE",  # celery --config
        "CELERY_LOADER",
        "CELERY_BIN",  # Celery's service files
        "CELERY_APP",
        "CELERY_WORKER_LOGLEVEL",  # celery worker --loglevel
        "CELERY_WORKER_QUEUES",
        "CELERY_BEAT_SCHEDULE_FILENAME",
    ],
)
def test_variables_that_celery_itself_reads_are_let_be(variable: str) -> None:
    assert typed_overrides({variable: "anything"}).keys() <= {"beat_schedule_filename"}


def test_overrides_are_merged_into_our_options() -> None:
    config = celery_config(settings(CELERY_BROKER_TRANSPORT_OPTIONS='{"visibility_timeout": 7, "socket_timeout": 3}'))

    options = config["broker_transport_options"]
    assert (options["visibility_timeout"], options["socket_timeout"]) == (7, 3)
    assert options["socket_connect_timeout"] == API_TIMEOUT
    assert options[OPTION] == {"database": 1, "prefix": "", "serializer": "json"}


def test_records_follow_an_override_of_the_broker_or_the_results() -> None:
    """``celery --broker …`` sets the variable, too."""
    elsewhere = celery_config(settings(CELERY_BROKER_URL="amqp://host//"))
    other_database = celery_config(settings(CELERY_RESULT_BACKEND="redis://host:6379/7"))
    writes_elsewhere = celery_config(settings(CELERY_BROKER_WRITE_URL="redis://primary/2"))

    assert OPTION not in elsewhere["broker_transport_options"]
    assert OPTION not in writes_elsewhere["broker_transport_options"]
    assert other_database["broker_transport_options"][OPTION]["database"] == 7


@pytest.mark.parametrize(("prefix", "written"), [("app", "app_"), ("app:", "app:"), ("app.", "app."), ("", "")])
def test_records_follow_the_prefix_of_the_results(prefix: str, written: str) -> None:
    options = f'{{"global_keyprefix": "{prefix}"}}'

    config = celery_config(settings(CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS=options))

    assert config["broker_transport_options"][OPTION]["prefix"] == written


@pytest.mark.parametrize(
    "routes", ['{"maintenance.*": {"queue": "theirs"}}', '[{"maintenance.*": {"queue": "theirs"}}]']
)
def test_the_operators_routes_are_stronger_than_the_jobs_own_queue(routes: str) -> None:
    config = celery_config(settings(CELERY_TASK_ROUTES=routes))

    assert config["task_routes"] == [{"maintenance.*": {"queue": "theirs"}}, route_job]


@pytest.mark.parametrize(("queue", "route"), [("compute", {"queue": "compute"}), (None, None)])
def test_a_job_is_routed_to_its_own_queue(queue: str | None, route: Any) -> None:
    from marshmallow import Schema

    from libs.flask_celery import JobSpec

    class Task:
        job_spec = JobSpec("a.task", Schema, "", queue, None, ())

    assert route_job("a.task", (), {}, {}, task=Task()) == route
    assert route_job("a.task", (), {}, {}, task=None) is None


@pytest.mark.parametrize("scheme", ["amqp", "amqps", "pyamqp"])
def test_rabbitmq_gets_its_own_options_and_none_of_redis(scheme: str) -> None:
    """Whether it is named by the application or by the environment."""
    url = f"{scheme}://host//"
    named = CelerySettings(url, "redis://host:6379/1", role=Role.API)
    api, worker = celery_config(named), celery_config(settings(Role.WORKER, CELERY_BROKER_URL=url))

    for config in (api, worker):
        assert config["broker_transport_options"]["confirm_publish"] is True
        assert not {"visibility_timeout", "socket_timeout"} & config["broker_transport_options"].keys()
    assert api["broker_transport_options"]["read_timeout"] == API_TIMEOUT
    assert api["task_publish_retry"] is False
    assert "read_timeout" not in worker["broker_transport_options"]
    assert worker["worker_cancel_long_running_tasks_on_connection_loss"] is True
    assert "worker_cancel_long_running_tasks_on_connection_loss" not in celery_config(settings(Role.WORKER))
