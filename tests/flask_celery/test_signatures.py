"""Each override takes what Celery's and kombu's own method takes, so that an update of theirs is noticed here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.amqp import AMQP
from celery.backends.redis import RedisBackend, ResultConsumer
from celery.loaders.app import AppLoader
from celery.result import AsyncResult
from celery.worker.request import Request
from kombu.transport import redis as kombu_redis
from redbeat import RedBeatScheduler

from libs.flask_celery import ContextTask, FlaskCelery
from libs.flask_celery.amqp import JobAMQP
from libs.flask_celery.awaiting import OnDemandResult, OnDemandResultConsumer
from libs.flask_celery.backend import JobBackend, JobBackendMixin, SentinelJobBackend
from libs.flask_celery.loader import JobLoader
from libs.flask_celery.request import JobRequest
from libs.flask_celery.result_format import ResultFormatMixin
from libs.flask_celery.schedules.beat import JobScheduler
from libs.flask_celery.transport import Channel, RecordingChannelMixin, SentinelChannel, SentinelTransport, Transport

PAIRS = [
    (ContextTask, Task),
    (FlaskCelery, Celery),
    (JobAMQP, AMQP),
    (JobBackendMixin, RedisBackend),
    (ResultFormatMixin, RedisBackend),
    (JobBackend, RedisBackend),
    (SentinelJobBackend, RedisBackend),
    (OnDemandResult, AsyncResult),
    (OnDemandResultConsumer, ResultConsumer),
    (JobLoader, AppLoader),
    (JobRequest, Request),
    (RecordingChannelMixin, kombu_redis.Channel),
    (Channel, kombu_redis.Channel),
    (Transport, kombu_redis.Transport),
    (SentinelChannel, kombu_redis.SentinelChannel),
    (SentinelTransport, kombu_redis.SentinelTransport),
    (JobScheduler, RedBeatScheduler),
]

OVERRIDES = [
    (ours, base, name)
    for ours, base in PAIRS
    for name, member in vars(ours).items()
    if inspect.isfunction(member) and name != "__init__" and hasattr(base, name)
]

#: What must be among them; a rename of the base's method would otherwise take it off the list in silence.
EXPECTED = {
    *(
        "as_task_v2",
        "_put",
        "mark_as_done",
        "mark_as_failure",
        "mark_as_revoked",
        "_store_result",
        "_get_result_meta",
    ),
    *("on_task_call", "_add_pending_result", "before_start", "__call__", "on_timeout", "on_failure"),
    *("_announce_cancelled", "_retry_worker_lost", "then", "on_wait_for_pending"),
    *("meta_from_decoded", "prepare_exception", "exception_to_python"),
    *("tick", "setup_schedule", "close"),
}


def test_the_overrides_override_something() -> None:
    assert {name for _, _, name in OVERRIDES} >= EXPECTED


def takes(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(("ours", "base", "name"), OVERRIDES)
def test_an_override_takes_what_the_base_takes(ours: type, base: type, name: str) -> None:
    own, theirs = getattr(ours, name), getattr(base, name)
    parameters = list(inspect.signature(theirs).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]

    assert takes(own, tuple(positional), {})
    assert takes(own, (), dict.fromkeys(named))
    assert takes(own, tuple(required), {})
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        assert takes(own, (*positional, "one", "more"), {})
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        assert takes(own, tuple(required), {"one_that_may_come": 1})
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ours_by_name = {n: p for n, p in inspect.signature(own).parameters.items() if p.kind in kinds}
    assert {n: ours_by_name[n].default for n in defaults if n in ours_by_name} == {
        n: default for n, default in defaults.items() if n in ours_by_name
    }
