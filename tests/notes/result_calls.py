"""What is done with an ``AsyncResult`` in a process that publishes (``tests.against_stock.client``), and seen of it.

The same calls with either system. Each answers in JSON.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.result import AsyncResult

from tests.notes import result_jobs
from tests.notes.result_jobs import answer, fail, go_file, hold, ignored, live

#: Seconds for whatever must come in the end.
LONG = 60


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """What it returns, or what it raises, by module and name, with its arguments."""
    try:
        return {"value": call()}
    except Exception as error:
        return {"raised": named(type(error)), "args": [str(arg) for arg in error.args]}


def named(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def held() -> AsyncResult:
    """A job that runs."""
    label = uuid4().hex
    result = hold.apply_async((label, "a value"))
    result.label = label
    until(lambda: result.state == "STARTED")
    return result


def let_go(result: AsyncResult) -> None:
    go_file(result.label).touch()


def look(result: AsyncResult) -> list[Any]:
    return [
        *(result.state, result.ready(), result.successful(), result.failed()),
        *(repr(result.result) if isinstance(result.result, Exception) else result.result, bool(result.traceback)),
        *(result.info == result.result or repr(result.info) == repr(result.result), result.date_done),
    ]


def whole_life(app: Celery) -> dict[str, Any]:
    """From the queue to the end; ``look``'s words in each state."""
    label = uuid4().hex
    result = live.apply_async((label,), countdown=1)
    seen = {"PENDING": look(result)}
    until(lambda: result.state == "STARTED")
    started = look(result)
    seen["STARTED"] = [*started[:4], sorted(started[4]), *started[5:]]
    for step, state in (("counting", "COUNTING"), ("retry", "RETRY")):
        go_file(f"{label}-{step}").touch()
        until(lambda: result.state == state)  # noqa: B023
        seen[state] = look(result)
    go_file(f"{label}-end").touch()
    until(result.ready)
    *seen["SUCCESS"], date_done = look(result)
    seen["date_done"] = isinstance(date_done, datetime)
    seen["retries"] = result.retries
    seen["name"] = result.name
    return seen


def give_up_waiting(app: Celery) -> dict[str, Any]:
    result = held()
    began = time.monotonic()
    given_up = outcome(lambda: result.get(timeout=0.3))
    took = time.monotonic() - began
    state = result.state
    let_go(result)
    return {"in time": 0.3 <= took < 5, "state": state, "at last": result.get(timeout=LONG), **given_up}


def get_failure(app: Celery, which: str) -> dict[str, Any]:
    result = fail.delay(which)
    returned = result.get(timeout=LONG, propagate=False)
    again = outcome(lambda: app.AsyncResult(result.id).get(timeout=LONG))
    return {
        **outcome(lambda: result.get(timeout=LONG)),
        "returned": named(type(returned)),
        "attributes": vars(returned),
        "read anew": again["raised"],
        "traceback": [result.traceback.splitlines()[0], result.traceback.strip().splitlines()[-1]],
        "failed": [result.state, result.ready(), result.successful(), result.failed()],
    }


def read_stored(app: Celery, exc_module: str, exc_type: str, arguments: list[Any]) -> dict[str, Any]:
    """A failure that somebody has written into Redis."""
    task_id = str(uuid4())
    error = {"exc_module": exc_module, "exc_type": exc_type, "exc_message": arguments}
    meta = {"status": "FAILURE", "result": error, "traceback": None, "children": [], "task_id": task_id}
    app.backend.client.set(f"celery-task-meta-{task_id}", app.backend.encode(meta))
    result = app.AsyncResult(task_id)
    try:
        seen = outcome(lambda: app.AsyncResult(task_id).state)
        return {**outcome(lambda: result.get(timeout=LONG)), "state": seen.get("raised") or seen["value"]}
    except BaseException as error:
        return {"stopped by": named(type(error))}
    finally:
        result.forget()


def tell_the_time(app: Celery) -> dict[str, Any]:
    before = datetime.now(UTC)
    result = answer.delay("now")
    result.get(timeout=LONG)
    stored = app.backend.decode(app.backend.client.get(f"celery-task-meta-{result.id}"))["date_done"]
    plain = AsyncResult(result.id, app=app)  # not the class of the app
    return {
        "offsets": [one.date_done.utcoffset().total_seconds() / 3600 for one in (result, plain)],
        "right": before <= result.date_done <= datetime.now(UTC) and plain.date_done == result.date_done,
        "same moment": datetime.fromisoformat(stored) == result.date_done,
        "stored": stored[-6:],
    }


def revoke_waiting(app: Celery) -> dict[str, Any]:
    result = answer.apply_async(("never",), countdown=1.5)
    result.revoke()
    until(result.ready)
    return {"state": result.state, "failed": result.failed(), **outcome(lambda: result.get(timeout=LONG))}


def revoke_running(app: Celery) -> dict[str, Any]:
    result = held()
    result.revoke(terminate=True)
    until(result.ready)
    return {"state": result.state, "failed": result.failed(), **outcome(lambda: result.get(timeout=LONG))}


def revoke_ended(app: Celery) -> list[Any]:
    result = answer.delay("kept")
    result.get(timeout=LONG)
    result.revoke(wait=True, timeout=0.5)  # in which the worker has answered
    anew = app.AsyncResult(result.id)
    return [anew.state, anew.get(timeout=LONG)]


def get_unknown(app: Celery) -> dict[str, Any]:
    result = app.AsyncResult(str(uuid4()))
    return {"look": look(result), "exists": result.exists(), **outcome(lambda: result.get(timeout=0.2))}


def get_gone(app: Celery, how: str) -> dict[str, Any]:
    """A job that was known: forgotten, or expired."""
    result = answer.delay("gone")
    result.get(timeout=LONG)
    before = result.exists()
    if how == "forgotten":
        result.forget()
    else:
        app.backend.client.pexpire(f"celery-task-meta-{result.id}", 1)
        until(lambda: not result.exists())
    anew = app.AsyncResult(result.id)
    seen = {"before": before, "look": look(anew), "exists": anew.exists(), **outcome(lambda: anew.get(timeout=0.2))}
    return {**seen, "id": result.id}


def read_lazily(app: Celery) -> list[Any]:
    """A record that names what its module has only when it is asked for it: did reading it ask?"""
    return [read_stored(app, "tests.notes.result_jobs", "LazyError", ["text"])["raised"], bool(result_jobs.asked_for)]


def get_ignored(app: Celery) -> dict[str, Any]:
    """``get`` answers at once, while the job waits for its time."""
    label = uuid4().hex
    result = ignored.apply_async((label,), countdown=1)
    at_once = [result.get(timeout=LONG), result.state]
    behind = answer.apply_async(countdown=1.2)
    behind.get(timeout=LONG)
    until(lambda: go_file(label).with_suffix(".notes").exists())
    time.sleep(0.3)  # for what a system may still want to say of it
    return {"at once": at_once, "in the end": [app.AsyncResult(result.id).state, app.AsyncResult(result.id).result]}
