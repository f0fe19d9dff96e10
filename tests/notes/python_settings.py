"""Settings of Celery with values that only Python has, as an application's author writes them."""

from __future__ import annotations

from typing import Any

from flask import current_app
from kombu import Exchange, Queue


def note_failure(self: Any, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
    from tests.functional.probe_jobs import note  # not above: it declares jobs, and tests import this module

    note(task_id, failed=self.name, because=str(exc), app=current_app.name)


SETTINGS: dict[str, Any] = {
    "task_queues": [
        Queue("default", Exchange("default", type="direct"), routing_key="default"),
        Queue("letters", Exchange("post", type="direct"), routing_key="letter"),
        Queue("parts", Exchange("warehouse", type="topic"), routing_key="parts.#"),
        Queue("everyone", Exchange("news", type="fanout")),
    ],
    "task_routes": {"probe.where_am_i": {"queue": "letters"}},
    "task_annotations": {"*": {"on_failure": note_failure, "rate_limit": "5/s"}},
}
