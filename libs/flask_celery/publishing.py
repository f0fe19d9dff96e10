"""Publishing a job through Celery, and of which tasks all messages are alike but for what is a job's own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import Task, signals
from celery.app.routes import MapRoute

from libs.flask_celery.celery_config import route_job
from libs.flask_celery.facts import HEADER, HIDDEN, SubmissionFacts

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Whoever listens to these is told of each message, and may change it.
_SIGNALS = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)


def publish_job(task: Task, body: Mapping[str, Any], task_id: str, facts: SubmissionFacts, **options: Any) -> None:
    """Publish a job that a client has submitted; ``options`` are those of ``Task.apply_async``."""
    task.apply_async(
        # As the client sent it: the worker loads it with the same schema. Dumping what was loaded would lose what a
        # schema only loads.
        kwargs=dict(body),
        task_id=task_id,
        **HIDDEN,
        headers={HEADER: facts.to_header()},
        **options,
    )


def is_regular(celery_app: "FlaskCelery", task: Task) -> bool:
    """Whether all messages of the task differ in what a job's own is, and in nothing else."""
    conf = celery_app.conf
    return (
        all(getattr(type(task), name) is getattr(Task, name) for name in ("apply_async", "shadow_name"))
        and all(isinstance(route, MapRoute) or route is route_job for route in celery_app.amqp.routes)
        and task._dump_pydantic_arguments is None
        and getattr(task, "expires", None) is None
        and getattr(task.job_spec, "unique", None) is None
        and (task.serializer or conf.task_serializer) == "json"
        and conf.result_serializer == "json"
        and not (getattr(task, "compression", None) or conf.task_compression)
        and not (conf.task_send_sent_event or conf.task_always_eager)
        and not has_listeners()
    )


def has_listeners() -> bool:
    """Whether somebody is to be told of each message."""
    return any(signal.receivers for signal in _SIGNALS)
