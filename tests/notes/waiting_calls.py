"""Waiting for results: callbacks, threads, a Redis that goes away. As ``result_calls``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any
from uuid import uuid4

from celery import Celery

from tests.notes.result_calls import LONG, held, let_go, outcome, until
from tests.notes.result_jobs import answer, go_file, live


def watch_waiting(app: Celery) -> dict[str, Any]:
    """The callbacks of ``get``, and that of ``then``."""
    label = uuid4().hex
    result = live.apply_async((label,), {"once": True})
    until(lambda: result.state == "STARTED")
    said: list[str] = []
    ended: list[Any] = []

    def on_interval() -> None:
        for step in ("counting", "end"):
            go_file(f"{label}-{step}").touch()

    result.then(lambda ready: ended.append(["then", ready.id == result.id]))
    value = result.get(
        timeout=LONG,
        on_message=lambda meta: said.append(meta["status"]),
        on_interval=on_interval,
        callback=lambda task_id, got: ended.append(["callback", task_id == result.id, got]),
    )
    return {"value": value, "said": said, "ended": ended}


def break_off(app: Celery) -> dict[str, Any]:
    """Whoever waits may stop at any interval."""
    result = held()

    def stop() -> None:
        raise InterruptedError("enough")

    seen = outcome(lambda: result.get(timeout=LONG, on_interval=stop))
    let_go(result)
    return {**seen, "at last": result.get(timeout=LONG)}


def get_from_threads(app: Celery, count: int) -> dict[str, Any]:
    """Each thread waits for a job of its own and for one of all, which ends when they wait."""
    common = held()
    own = [answer.apply_async((number,), countdown=0.5) for number in range(count)]

    def get(number: int) -> list[Any]:
        return [app.AsyncResult(common.id).get(timeout=LONG), own[number].get(timeout=LONG)]

    with ThreadPoolExecutor(count) as threads:
        answers = [threads.submit(get, number) for number in range(count)]
        time.sleep(0.3)
        let_go(common)
        values = [waiting.result(LONG) for waiting in answers]
    return {"common": {value for value, _ in values} == {"a value"}, "own": [number for _, number in values]}


waiting: dict[str, Any] = {}


def begin_to_wait(app: Celery) -> str:
    """In a thread, until ``end_of_waiting``; what waits is a ``get`` that has subscribed."""
    result = held()
    waiting.clear()

    def on_interval() -> None:
        waiting.update(waits=True, intervals=waiting.get("intervals", 0) + 1)

    def get() -> None:
        waiting["answer"] = outcome(lambda: result.get(timeout=LONG, on_interval=on_interval))

    thread = Thread(target=get, daemon=True)
    thread.start()
    until(lambda: "waits" in waiting)
    waiting.update(thread=thread, result=result)
    return str(result.id)


def notice_the_loss(app: Celery) -> None:
    """What waits has been told that its connection is gone, or has gone on waiting for a while without one."""
    time.sleep(1.5)


def end_of_waiting(app: Celery) -> Any:
    let_go(waiting["result"])
    waiting["thread"].join(LONG)
    return waiting.get("answer")
