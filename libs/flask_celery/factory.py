"""``make_celery``: the Celery app of a Flask app."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from flask import Flask
from kombu.utils import cached_property as guarded_property

from libs.flask_celery import rabbitmq, transport
from libs.flask_celery.amqp import JobAMQP
from libs.flask_celery.awaiting import OnDemandResult
from libs.flask_celery.bundles.bundler import BundleTokens
from libs.flask_celery.celery_config import CelerySettings, Role, celery_config
from libs.flask_celery.context import connect_signals, dispose_after_fork
from libs.flask_celery.deadline_keeper import DeadlineKeeper
from libs.flask_celery.delays import DelayKeeper
from libs.flask_celery.direct_publishing import DirectPublishing
from libs.flask_celery.fetching_ahead import AheadKeeper
from libs.flask_celery.figures.worker_signs import WorkerSigns
from libs.flask_celery.file_sweeper import FileSweeper
from libs.flask_celery.forked_locks import ForkedLocks
from libs.flask_celery.gate import AT_ONCE, Gate
from libs.flask_celery.history.telling import TellingSettings
from libs.flask_celery.lease import LeaseKeeper
from libs.flask_celery.loader import JobLoader
from libs.flask_celery.queue_names import QueueNames
from libs.flask_celery.reconciler import Reconciler
from libs.flask_celery.redis_checks import RedisCheck
from libs.flask_celery.schedules.redbeat_place import RedBeatPlace
from libs.flask_celery.shutdown import SoftShutdown
from libs.flask_celery.sign_of_life import SignOfLife
from libs.flask_celery.task import ContextTask
from libs.flask_celery.terminate import Terminator
from libs.flask_celery.tracing import JobTracing

#: Held by the thread that makes an app's backend.
_FIRST_BACKEND = threading.RLock()


class FlaskCelery(RedBeatPlace, Celery):  # type: ignore[misc]
    """A Celery app that knows its Flask app, its deployment's queues, and what it accepts."""

    def __init__(self, flask_app: Flask, settings: CelerySettings, **options: Any) -> None:
        self.flask_app = flask_app
        self.strict_redis = settings.strict_redis
        self.heartbeat_file = settings.heartbeat_file
        self.serves_clients = settings.role is Role.API
        self.terms = settings.terms
        self.telling = TellingSettings()  # the application may put its own there
        self.tracing: JobTracing | None = None  # likewise, before anything is published
        self.result_limit = settings.result_limit
        self.schedule_grace = settings.schedule_grace
        self.queue_names = QueueNames(settings.deployment)
        super().__init__(flask_app.import_name, **options)

    @guarded_property  # type: ignore[untyped-decorator]
    def AsyncResult(self) -> type[AsyncResult]:  # noqa: N802 - Celery's name
        """Subscribes to nothing before somebody waits."""
        result: type[AsyncResult] = self.subclass_with_self(OnDemandResult)
        return result

    def now(self) -> datetime:
        """As Celery's, which goes by way of UTC and looks whether the hour is one that comes twice."""
        return datetime.now(self.timezone)

    @property
    def tasks(self) -> Any:
        """As Celery's, which takes a lock at each look."""
        return self.__dict__["tasks"] if "tasks" in self.__dict__ else super().tasks

    @property
    def backend(self) -> Any:
        """The one of all threads: also of those that are the first to want one, at the same time."""
        if self._backend_cache is not None:
            return self._backend_cache
        with _FIRST_BACKEND:
            return super().backend

    def producer_or_acquire(self, producer: Any = None) -> AbstractContextManager[Any]:
        """As Celery's, but where many clients submit at once those for whom there is no place stand in line."""
        context: AbstractContextManager[Any] = super().producer_or_acquire(producer)
        return self._in_turn(context) if self.serves_clients and producer is None else context

    @contextmanager
    def _in_turn(self, context: AbstractContextManager[Any]) -> Iterator[Any]:
        with self.publish_gate.place(), context as producer:
            yield producer

    @cached_property  # not kombu's, which takes a lock at each look
    def direct(self) -> DirectPublishing:
        """How most of what clients submit is published."""
        return DirectPublishing(self)

    @cached_property  # not kombu's, which takes a lock at each look
    def publish_gate(self) -> Gate:
        """Where those stand in line who want to publish."""
        return Gate(min(AT_ONCE, self.conf.broker_pool_limit or AT_ONCE))


def make_celery(app: Flask, settings: CelerySettings) -> FlaskCelery:
    """Build the Celery app of ``app``, put it in ``app.extensions["celery"]`` and make it the process's default.

    Every task runs in ``app``'s context (:class:`ContextTask`). Nothing connects to Redis here.
    Raises: SettingError.
    """
    transport.install()
    rabbitmq.install()
    celery_app = FlaskCelery(app, settings, task_cls=ContextTask, amqp=JobAMQP, loader=JobLoader)
    celery_app.config_from_object(celery_config(settings))
    # shared_task binds to the default app, and to every other one as it is finalized.
    celery_app.set_default()
    if settings.role is Role.WORKER:
        celery_app.steps["worker"] |= {LeaseKeeper, DelayKeeper, DeadlineKeeper, RedisCheck, Reconciler, Terminator}
        celery_app.steps["worker"] |= {SoftShutdown, FileSweeper, SignOfLife, WorkerSigns, AheadKeeper}
        celery_app.steps["worker"] |= {BundleTokens, ForkedLocks}
    connect_signals()
    dispose_after_fork(app)
    app.extensions["celery"] = celery_app
    return celery_app
