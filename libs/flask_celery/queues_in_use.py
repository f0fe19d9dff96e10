"""Which queues somebody has to consume."""

from typing import TYPE_CHECKING, Any

from libs.flask_celery.describing import usual_queue

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


def declared_queues(celery_app: "FlaskCelery") -> list[str]:
    """What a worker without ``-Q`` consumes: the setting ``task_queues``, or the default queue. By logical names."""
    physical = [getattr(queue, "alias", None) or queue.name for queue in celery_app.amqp.queues.values()]
    return list(dict.fromkeys(map(celery_app.queue_names.logical, physical)))


def queues_in_use(celery_app: "FlaskCelery") -> set[str]:
    """Those to which the tasks and the schedules of this app are submitted, or may be. By their logical names.

    A queue that whoever publishes names is not known here, unless the job allows it (``@job(queues=…)``).
    """
    names = {str(celery_app.conf.task_default_queue)}
    for name, task in celery_app.tasks.items():
        names.add(getattr(task, "queue", None) or usual_queue(celery_app, name))
        names.update(getattr(getattr(task, "job_spec", None), "queues", ()))
    for entry in celery_app.conf.beat_schedule.values():
        names.update(_queue_of(entry.get("options") or {}))
    return {celery_app.queue_names.logical(name) for name in names}


def _queue_of(options: dict[str, Any]) -> list[str]:
    queue = options.get("queue")
    return [str(getattr(queue, "name", queue))] if queue else []
