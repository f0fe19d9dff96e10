"""Jobs whose results are looked at, for workers and clients of both systems; imports nothing of either.

Loaded with Celery's ``-I tests.notes.result_jobs``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Task, group, shared_task

from tests.against_stock.probe_tasks import note


class NoSuchPartError(Exception):
    """A job's own error."""

    def __init__(self, code: str, shelf: int) -> None:
        super().__init__(code, shelf)
        self.code = code
        self.shelf = shelf


class PickyError(Exception):
    """Cannot be made from its ``args``, as many of the libraries' errors cannot."""

    def __init__(self, first: str, *, second: str) -> None:
        super().__init__(f"{first} and {second}")


#: Of a module that whoever reads the result does not have.
UnheardOfError = type("UnheardOfError", (Exception,), {"__module__": "a.module.of.the.worker"})

ERRORS = {
    "builtin": ValueError("told to fail", 7),
    "own": NoSuchPartError("A-1", 3),
    "picky": PickyError("this", second="that"),
    "unheard of": UnheardOfError("whoever you are"),
}


#: The names that somebody has asked this module for that it had to make.
asked_for: list[str] = []


def __getattr__(name: str) -> Any:
    if name != "LazyError":
        raise AttributeError(name)
    asked_for.append(name)
    return ValueError


def go_file(label: str) -> Path:
    return Path(os.environ["PROBE_FOLDER"]) / f"{label}.go"


def wait_for_go(label: str) -> None:
    end = time.monotonic() + 60
    while not go_file(label).exists():
        assert time.monotonic() < end, f"nobody said go to {label}"
        time.sleep(0.02)


@shared_task(name="result.answer")
def answer(value: Any = None) -> Any:
    return value


@shared_task(name="result.hold")
def hold(label: str, value: Any = None) -> Any:
    """Run until told to go."""
    note(label, "started")
    wait_for_go(label)
    return value


@shared_task(name="result.live", bind=True)
def live(self: Task, label: str, once: bool = False) -> str:
    """Goes through every state that is not final, as fast as it is told to; ``once``: without a retry."""
    if self.request.retries == 0:
        wait_for_go(f"{label}-counting")
        self.update_state(state="COUNTING", meta={"current": 1, "total": 3})
    if self.request.retries == 0 and not once:
        wait_for_go(f"{label}-retry")
        raise self.retry(exc=ValueError("not yet"), countdown=2)
    wait_for_go(f"{label}-end")
    return "the end"


@shared_task(name="result.fail")
def fail(which: str = "builtin") -> None:
    raise ERRORS[which]


@shared_task(name="result.ignored", ignore_result=True)
def ignored(label: str) -> str:
    note(label, "ran")
    return "a value"


@shared_task(name="result.add")
def add(first: int, second: int) -> int:
    return first + second


@shared_task(name="result.add_up")
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="result.spread")
def spread(count: int) -> Any:
    """A tree: the result is a group of the jobs it has published."""
    return group(square.s(number) for number in range(count))()


@shared_task(name="result.square")
def square(number: int) -> int:
    return number**2


@shared_task(name="result.note_end")
def note_end(value: Any, label: str) -> Any:
    """A callback."""
    note(label, value)
    return value


@shared_task(name="result.note_error")
def note_error(request: Any, error: BaseException, traceback: str, label: str) -> None:
    """A callback of failures, with the arguments of today: Celery calls it in the worker that ran the job."""
    note(label, [request.id, type(error).__name__, "Traceback" in (traceback or "")])


@shared_task(name="result.note_failed_id")
def note_failed_id(task_id: str) -> None:
    """A callback of failures, with the argument of old: a job of its own."""
    note(f"failed-{task_id}", task_id)


@shared_task(name="result.retry_elsewhere", bind=True)
def retry_elsewhere(self: Task, queue: str) -> str:
    """Its second run waits in another queue."""
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("not here"), countdown=0, queue=queue)
    return "elsewhere"


@shared_task(name="result.move_on", bind=True)
def move_on(self: Task, queue: str) -> None:
    """Be replaced by another job, in another queue."""
    raise self.replace(add.s(1, 2).set(queue=queue))
