"""What the site asks of Taskgate: by the tasks' names, so that none of its code is needed here."""

from celery.result import AsyncResult

from django_site.celery import app

#: The queue that Taskgate's workers consume.
QUEUE = "default"


def add(a: int, b: int) -> AsyncResult:
    """Submit ``maintenance.adds``; its result is the sum.

    Raises: kombu.exceptions.OperationalError when no Redis answers.
    """
    return app.send_task("maintenance.adds", kwargs={"a": a, "b": b}, queue=QUEUE)
