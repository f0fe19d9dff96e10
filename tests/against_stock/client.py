"""A process that publishes, with either system: ``python -m tests.against_stock.client stock|ours``.

A process of its own, because ours puts its transport in the place of kombu's for a whole process. It answers each
line of its input, ``[command, arguments]`` in JSON, with one line: ``{"value": …}`` or ``{"error": <its class>}``.
A command is one of those below, or a function of another module, as ``module:function``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.result import AsyncResult
from celery.utils.imports import symbol_by_name
from flask import current_app, g

from tests.against_stock import probe_tasks  # noqa: F401 - registers its tasks

held: list[AsyncResult] = []


def publish(celery_app: Celery, name: str, args: list[Any], options: dict[str, Any]) -> str:
    return str(celery_app.send_task(name, args, **options).id)


def publish_and_hold(celery_app: Celery, count: int) -> None:
    """Keep the results, as a caller does who means to ask for them later."""
    held.extend(celery_app.send_task("probe.work", ["held"]) for _ in range(count))


def let_go(celery_app: Celery) -> None:
    held.clear()


def tell_apart(celery_app: Celery) -> dict[str, dict[str, Any]]:
    """What Celery knows of a job that waits in its queue, and of one that nobody has ever submitted."""
    queued = celery_app.send_task("probe.work", ["queued"])
    results = {"queued": queued, "never submitted": celery_app.AsyncResult(str(uuid4()))}
    return {which: {"state": result.state, "exists": result.exists()} for which, result in results.items()}


def backends_of_threads(celery_app: Celery, count: int) -> int:
    """How many backends, each with connections of its own, ``count`` threads publish with."""
    together = Barrier(count)

    def publish_in_thread(_: int) -> Any:
        together.wait(30)  # a thread for each
        celery_app.send_task("probe.work", ["from a thread"])
        return celery_app.backend

    with ThreadPoolExecutor(count) as threads:
        backends = list(threads.map(publish_in_thread, range(count)))
    return len({id(backend.client.connection_pool) for backend in backends})


def publish_in_child(celery_app: Celery) -> int:
    """Fork as a server does that has loaded its application before (``gunicorn --preload``). Returns: exit status."""
    child = os.fork()
    if child == 0:
        celery_app.send_task("probe.work", ["from a child"])
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_in_request(celery_app: Celery) -> dict[str, Any]:
    """What a job sees that a request runs itself (``apply``, ``task_always_eager``)."""
    with celery_app.flask_app.test_request_context():
        g.caller = "ann"
        session = id(current_app.extensions["sqlalchemy"].session())
        seen = celery_app.tasks["probe.see_caller"].apply().get()
    return {"caller": seen["caller"], "same session": seen["session"] == session}


COMMANDS = {
    command.__name__: command
    for command in (
        *(publish, publish_and_hold, let_go),
        *(tell_apart, backends_of_threads, publish_in_child, run_in_request),
    )
}


def load(system: str) -> Celery:
    if system == "stock":
        from tests.against_stock.stock_app import celery_app

        return celery_app
    from app import create_app
    from config import load_config

    ours: Celery = create_app(load_config()).extensions["celery"]
    return ours


def main() -> None:
    celery_app = load(sys.argv[1])
    celery_app.finalize()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            command = symbol_by_name(name) if ":" in name else COMMANDS[name]
            answer: dict[str, Any] = {"value": command(celery_app, *arguments)}
        except Exception as error:
            traceback.print_exc()  # to the log
            answer = {"error": f"{type(error).__module__}.{type(error).__qualname__}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
