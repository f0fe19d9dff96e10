"""Jobs of both systems. What they do is seen in files, so that it is seen while Redis is away, too.

Loaded into workers with Celery's ``-I tests.against_stock.probe_tasks``; imports nothing of either system.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Task, shared_task, signals
from flask import current_app, g, has_app_context
from sqlalchemy import event, text
from sqlalchemy.engine import Engine


def note(label: str, said: object) -> None:
    with (Path(os.environ["PROBE_FOLDER"]) / f"{label}.notes").open("a") as notes:
        notes.write(json.dumps(said) + "\n")


@shared_task(name="probe.work")
def work(label: str) -> str:
    note(label, "started")
    return label


@shared_task(name="probe.work_until_told")
def work_until_told(label: str) -> str:
    note(label, "started")
    while not (Path(os.environ["PROBE_FOLDER"]) / f"{label}.go").exists():
        time.sleep(0.02)
    return label


#: Celery's hooks and where their arguments have the task id.
HOOKS = {"before_start": 0, "on_success": 1, "on_failure": 1, "on_retry": 1, "after_return": 2}


def _hook(name: str) -> Any:
    """A method that notes whether it has an app context, for the hook that Celery calls ``name``."""

    def hook(self: Task, *args: Any, **kwargs: Any) -> None:
        if name == "before_start":
            super(type(self), self).before_start(*args, **kwargs)
        note(args[HOOKS[name]], {"hook": name, "context": has_app_context(), "pid": os.getpid()})

    return hook


@shared_task(
    name="probe.tell_hooks", bind=True, max_retries=1, default_retry_delay=0, **{name: _hook(name) for name in HOOKS}
)
def tell_hooks(self: Task, outcome: str) -> None:
    """Ends as told: success, failure, retry, hang."""
    note(self.request.id, {"hook": "run", "context": has_app_context(), "pid": os.getpid()})
    if outcome == "failure":
        raise ValueError("told to fail")
    if outcome == "retry" and self.request.retries == 0:
        raise self.retry(exc=ValueError("told to retry"))
    if outcome == "hang":
        time.sleep(60)


@shared_task(name="probe.see_caller")
def see_caller() -> dict[str, Any]:
    return {"caller": g.get("caller"), "session": id(current_app.extensions["sqlalchemy"].session())}


@event.listens_for(Engine, "connect")
def _remember_who_connected(connection: Any, record: Any) -> None:
    record.info["made_by"] = os.getpid()


@signals.worker_init.connect(weak=False)
def _use_database_before_fork(sender: Any, **_: Any) -> None:
    """As a module of jobs may, in the worker's parent process."""
    with sender.app.flask_app.app_context():
        current_app.extensions["sqlalchemy"].session.execute(text("SELECT 1"))


@shared_task(name="probe.connection_made_by")
def connection_made_by() -> dict[str, int]:
    connection = current_app.extensions["sqlalchemy"].session.connection()
    return {"made_by": connection.info["made_by"], "pid": os.getpid(), "parent": os.getppid()}
