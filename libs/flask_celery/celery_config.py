"""Celery's settings as this product needs them, each with its reason, and the environment's say over them.

The API and the worker want opposite things when Redis is away: the API must answer its client at once, the worker
must wait and go on. So there are two roles, and what differs stands in :func:`_api_settings` and
:func:`_worker_settings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from libs.flask_celery import rabbitmq
from libs.flask_celery.acceptance import SubmissionTerms
from libs.flask_celery.errors import SettingError
from libs.flask_celery.overrides import check_values, known_settings, typed_overrides
from libs.flask_celery.queue_names import QueueNames
from libs.flask_celery.record_place import record_place
from libs.flask_celery.serializers import checked_serializers
from libs.flask_celery.transport import OPTION, RecordPlace

#: Seconds the API waits for Redis before it answers 503, per step (connect, read).
API_TIMEOUT = 0.4

#: Seconds that running jobs have to end on SIGTERM: ``docker stop`` kills after 10.
SOFT_TIMEOUT = 8.0

#: Seconds after which a worker that has not renewed a lease is taken for dead.
VISIBILITY_TIMEOUT = 30

#: Seconds without an answer after which a worker takes its connection to Redis for dead. No command takes as long.
SILENCE = 20.0

#: Seconds, or attempts about a second apart, for which a worker waits for Redis before it gives a job's word up.
PATIENCE = 120


class Role(StrEnum):
    """What a process does with Celery."""

    API = "api"  # publishes and reads results while a client waits: fails fast
    WORKER = "worker"  # consumes, schedules, inspects: retries


@dataclass(frozen=True, slots=True)
class CelerySettings:
    """What the application decides; everything else about Celery is decided here."""

    broker_url: str
    result_url: str
    role: Role = Role.API
    timezone: str = "UTC"
    result_expires: int = 86_400  # seconds
    default_queue: str = "default"
    deployment: str = ""  # keeps what shares a broker apart; empty for the only one
    heartbeat_file: str = ""  # that a worker touches while it is well; empty for none
    strict_redis: bool = False  # workers refuse a Redis that may lose jobs, instead of warning
    result_limit: int = 16 * 1024**2  # bytes of a result's JSON
    terms: SubmissionTerms = field(default_factory=SubmissionTerms)  # of jobs that clients submit
    schedules: Mapping[str, Any] = field(default_factory=dict)  # Celery's beat_schedule, of the code
    schedule_grace: int = 3_600  # seconds for which what beat missed is still run
    code: Mapping[str, Any] = field(default_factory=dict)  # settings of Celery's with values of Python
    overrides: Mapping[str, str] = field(default_factory=dict)  # CELERY_… from the environment, as text
    allow_pickle: bool = False


def celery_config(settings: CelerySettings) -> dict[str, Any]:
    """The whole configuration. Raises: SettingError for a setting that Celery does not know or cannot take."""
    config: dict[str, Any] = {
        "broker_url": settings.broker_url,
        "result_backend": settings.result_url,
        "timezone": settings.timezone,
        # Times in messages and results are UTC whatever the zone of the schedules.
        "enable_utc": True,
        "task_default_queue": settings.default_queue,
        # JSON only: a message must not be able to run code in the process that reads it. Others are accepted where
        # they are chosen, and pickle where ALLOW_PICKLE is set besides (see serializers.py).
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_expires": settings.result_expires,
        # One backend for all threads of a process; Celery's default makes a connection pool a thread.
        "result_backend_thread_safe": True,
        # A job is taken off its queue when it has ended, so that a killed worker's jobs are run again.
        "task_acks_late": True,
        # A child process that was killed (out of memory) is a failed run that may be retried, not a lost job.
        "task_retry_on_worker_lost": True,
        # Clients are shown that a job runs.
        "task_track_started": True,
        # A worker takes only what it can start: long jobs do not hold others back, and priorities count.
        "worker_prefetch_multiplier": 1,
        # Arguments are the client's data and stay out of the results.
        "result_extended": False,
        # Jobs have this long to end when their worker is told to stop (see shutdown.py); seconds.
        "worker_soft_shutdown_timeout": SOFT_TIMEOUT,
        # A chord whose parts never end must not hold its worker for ever; seconds.
        "result_chord_join_timeout": 60.0,
        # The worker's own log set-up replaces the root logger's handlers unless told not to.
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        # Due times that are kept, run once and not lost (see beat.py); the file of Celery's own is one beat's alone.
        "beat_scheduler": "libs.flask_celery.schedules.beat:JobScheduler",
        # Seconds after which beat notices a change of the schedules at the latest.
        "beat_max_loop_interval": 1,
        "beat_schedule": dict(settings.schedules),
    }
    overrides = _merged(known_settings(settings.code), typed_overrides(settings.overrides))
    if overrides.get("enable_utc") is False and settings.timezone == "UTC":
        config["timezone"] = None  # what follows then is the host's own zone (celery/app/base.py, timezone)
    broker_url, result_url = _broker_url({**config, **overrides}), {**config, **overrides}["result_backend"]
    is_worker = settings.role is not Role.API
    config |= _worker_settings(_silence(broker_url), _silence(str(result_url))) if is_worker else _api_settings()
    if rabbitmq.is_rabbitmq(broker_url):
        is_api = settings.role is Role.API
        config |= rabbitmq.api_settings(API_TIMEOUT) if is_api else rabbitmq.worker_settings()
    names = QueueNames(settings.deployment)
    config = _merged(config, _deployment_settings(names))
    config = _merged(config, overrides)
    for name in ("task_default_queue", "task_default_exchange"):
        if config.get(name):
            config[name] = names.physical(config[name])
    config |= checked_serializers(config, overrides, allow_pickle=settings.allow_pickle)
    check_values(config)
    if config.get("result_compression"):
        raise SettingError(
            "CELERY_RESULT_COMPRESSION", "is not supported: other readers of the results could not see a job's state"
        )
    # The operator's routes are asked first, and the job's own queue is for what they leave open.
    routes = config.get("task_routes") or []
    config["task_routes"] = [*(routes if isinstance(routes, list) else [routes]), route_job]
    place = _record_place_of(config)
    if place is not None:
        config["broker_transport_options"] = {**config["broker_transport_options"], OPTION: place.to_option()}
    return config


def _api_settings() -> dict[str, Any]:
    """A publish or a read ends in well under a second, one way or the other."""
    return {
        "task_publish_retry": False,
        "broker_connection_timeout": API_TIMEOUT,
        # More than publish at a time (see gate.py). They are made as they are needed.
        "broker_pool_limit": 64,
        "broker_pool_acquire_timeout": API_TIMEOUT,
        "redis_socket_timeout": API_TIMEOUT,
        "redis_socket_connect_timeout": API_TIMEOUT,
        "broker_transport_options": {
            "socket_timeout": API_TIMEOUT,
            "socket_connect_timeout": API_TIMEOUT,
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
        "result_backend_transport_options": {"retry_policy": {"max_retries": 0}},
    }


def _silence(url: str) -> float | None:
    """None for a socket of this host: no network can fall silent there, and each time-out is a system call more."""
    return None if url.startswith(("redis+socket:", "unix:")) else SILENCE


def _worker_settings(broker_silence: float | None, result_silence: float | None) -> dict[str, Any]:
    """A worker outlives its Redis: it retries, for long but not for ever."""
    return {
        "worker_consumer": "libs.flask_celery.consumer:JobConsumer",
        # None is for ever: a worker without its broker has nothing else to do.
        "broker_connection_max_retries": None,
        # A job that ended while Redis was away is stored when it is back, instead of failing for that.
        "result_backend_always_retry": True,
        "result_backend_max_retries": PATIENCE,
        # And a Redis of the results that says nothing is asked again; Celery waits for two minutes.
        "redis_socket_timeout": result_silence,
        "redis_socket_connect_timeout": result_silence,
        # So are a job's retries and the jobs that it publishes. Celery gives up after less than a second, and a retry
        # that could not be published ends its job (celery/app/task.py, retry).
        "task_publish_retry_policy": {"max_retries": PATIENCE, "interval_step": 0.2, "interval_max": 1},
        "result_backend_transport_options": {
            "retry_policy": {"max_retries": PATIENCE, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}
        },
        # A Redis that answers and takes no writes for now (no disk, no replicas) is waited for as an absent one.
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            # What a publish waits for its connection, before the policy above comes into play (kombu/connection.py,
            # default_channel).
            "connect_retries_timeout": PATIENCE,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
            # A Redis whose host is gone closes nothing: without these the event loop would wait for it for ever,
            # whatever answers at its address by then. What waits for jobs is read once it has come, however late.
            "socket_timeout": broker_silence,
            "socket_connect_timeout": broker_silence,
            # A dead worker's jobs are in the queue again this soon; leases keep a living one's (see lease.py).
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "unacked_restore_interval": VISIBILITY_TIMEOUT / 6,
            "unacked_restore_throttle": 1,
            "unacked_restore_limit": 100,
        },
    }


def _deployment_settings(names: QueueNames) -> dict[str, Any]:
    """What two deployments on one Redis, or one RabbitMQ, must not share; queues are named in ``JobAMQP``."""
    if not names.deployment:
        return {}
    return {
        "broker_transport_options": {"global_keyprefix": names.key_prefix},
        "result_backend_transport_options": {"global_keyprefix": names.key_prefix},
        # ``inspect``, ``control`` and events reach every worker that listens to these.
        "control_exchange": names.physical("celery"),
        "event_exchange": names.physical("celeryev"),
        "event_queue_prefix": names.physical("celeryev"),
    }


def _record_place_of(config: Mapping[str, Any]) -> RecordPlace | None:
    """From what the environment has left of the configuration."""
    prefix = config.get("result_backend_transport_options", {}).get("global_keyprefix") or ""
    if prefix and prefix[-1] not in ":_-.":
        prefix += "_"  # as Celery does (celery/backends/base.py, _add_global_keyprefix)
    return record_place(_broker_url(config), config["result_backend"], prefix, config["result_serializer"])


def _broker_url(config: Mapping[str, Any]) -> str:
    """Where messages are published."""
    return str(config.get("broker_write_url") or config["broker_url"])


def route_job(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> dict[str, Any] | None:
    """Celery's router for ``@job(queue=…)``; a queue named at publish is stronger."""
    spec = getattr(task, "job_spec", None)
    return {"queue": spec.queue} if spec is not None and spec.queue else None


def _merged(config: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides win; dicts are merged, so that an option of one's own does not drop ours."""
    merged = dict(config)
    for name, value in overrides.items():
        present = merged.get(name)
        merged[name] = {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
    return merged
