"""Jobs that tell what they see. Workers of tests load them with Celery's ``-I tests.functional.probe_jobs``.

What a job notes lies in a Redis list of its own, because a hook that runs after the result is stored, or in another
process, has no other way to say it.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import Task, chain, chord, shared_task, signals
from flask import current_app, g
from marshmallow import Schema, fields
from redis import Redis
from sqlalchemy import event, text

from app.extensions import db
from libs.flask_celery import ContextTask, current_job, job

#: Beside those of the broker (2) and the results (1).
NOTES_DATABASE = 3


def notes_key(task_id: str) -> str:
    return f"notes-{task_id}"


@functools.cache
def _notes(_: int) -> Redis:
    # redis-py gives up on a reply after 5 s unless told not to, and a go is waited for longer.
    return Redis.from_url(os.environ["REDIS_URL"], db=NOTES_DATABASE, socket_timeout=None)


def note(task_id: str, **said: object) -> int:
    """Returns: how many notes there are of the job now."""
    return int(_notes(os.getpid()).rpush(notes_key(task_id), json.dumps(said)))


def wait_for_go(task_id: str, timeout: float = 30) -> None:
    """Until the test has said ``go``."""
    assert _notes(os.getpid()).blpop([f"go-{task_id}"], timeout) is not None, "nobody said go"


def surroundings() -> dict[str, Any]:
    """What code of a job can rely on; ``context`` differs between two app contexts."""
    if "context" not in g:
        g.context = uuid4().hex
    return {
        "app": current_app.name,
        "context": g.context,
        "database": db.session.execute(text("SELECT 1")).scalar_one(),
        "principal": g.principal,
        "request_id": g.request_id,
        "locale": g.locale,
        "pid": os.getpid(),
    }


class TellingTask(ContextTask):
    """Notes each of Celery's hooks with what it sees."""

    abstract = True

    def tell(self, hook: str, task_id: str) -> None:
        note(task_id, hook=hook, request=self.request.id, retries=self.request.retries, **surroundings())

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        self.tell("before_start", task_id)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.tell("on_success", task_id)
        current_job.progress(2, 2, "too late to be news")

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.tell("on_failure", task_id)

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.tell("on_retry", task_id)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.tell("after_return", task_id)


class TellParams(Schema):
    outcome = fields.String(load_default="success")
    then = fields.List(fields.String(), load_default=list)


@job("probe.tell", params=TellParams, bind=True, base=TellingTask, max_retries=1, default_retry_delay=0)
def tell(self: Task, outcome: str = "success", then: list[str] | None = None) -> list[str]:
    """Ends as told: success, failure, retry, hang, die.

    The second line is not in the summary.
    """
    self.tell("run", self.request.id)
    children = [self.apply_async(kwargs={"outcome": next_outcome}).id for next_outcome in then or ()]
    if outcome == "failure":
        raise ValueError("told to fail")
    if outcome == "retry" and self.request.retries == 0:
        raise self.retry(exc=ValueError("told to retry"))
    if outcome == "hang":
        time.sleep(60)
    if outcome == "die" and self.request.retries == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return children


@shared_task(name="probe.die_always", max_retries=1, default_retry_delay=0)
def die_always() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="probe.tell_again", bind=True, base=TellingTask)
def tell_again(self: Task, told: Any) -> Any:
    """A later link of a chain, or the body of a chord."""
    self.tell("run", self.request.id)
    return told


@shared_task(name="probe.publish_canvas")
def publish_canvas() -> dict[str, str]:
    """A chain and a chord, published from inside of a job: the ids of their last jobs."""
    chained = chain(tell.s("success"), tell_again.s()).apply_async()
    joined = chord([tell.s("success"), tell.s("success")])(tell_again.s())
    return {"chain": chained.id, "first of chain": chained.parent.id, "chord": joined.id}


@shared_task(name="probe.leave_behind")
def leave_behind(how: str) -> None:
    """Leave a mess, so that the next job of this worker can look for it."""
    g.left_behind = True
    db.session.info["left_behind"] = True
    db.session.execute(text("INSERT INTO probe_rows (name) VALUES ('left behind')"))
    current_job.progress(1, 2, "leaving")
    if how == "failure":
        raise ValueError("leaving")
    if how == "open context":
        current_app.app_context().push()


@shared_task(name="probe.look_around")
def look_around() -> dict[str, Any]:
    """What a fresh job finds that is not its own."""
    return {
        "g": sorted(name for name in g if name.startswith("left")),
        "session": sorted(db.session.info),
        "rows": db.session.execute(text("SELECT count(*) FROM probe_rows WHERE name = 'left behind'")).scalar_one(),
        "sessions": len(db.session.registry.registry),
        "cancelled": current_job.cancelled,
        "pid": os.getpid(),
    }


@shared_task(name="probe.write_row", bind=True)
def write_row(self: Task, name: str, outcome: str = "success") -> str:
    """Write a row, then end as told."""
    db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": name})
    note(self.request.id, written=name)
    match outcome:
        case "failure":
            raise ValueError("after the write")
        case "slow commit":
            g.commit_delay = 0.5
        case "failing commit":
            db.session.execute(text("INSERT INTO probe_children (parent) VALUES ('nobody')"))
        case "hang":
            time.sleep(60)
        case "until cancelled" | "swallowing":
            work_until_cancelled(swallow=outcome == "swallowing")
    return name


class CountingTask(ContextTask):
    """Notes how many rows there are once the job has failed."""

    abstract = True

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        query = text("SELECT count(*) FROM probe_rows WHERE name = :name")
        note(task_id, rows=db.session.execute(query, {"name": task_id}).scalar_one())


@shared_task(name="probe.fail_after_write", bind=True, base=CountingTask)
def fail_after_write(self: Task) -> None:
    db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": self.request.id})
    raise ValueError("after the write")


def work_until_cancelled(*, swallow: bool) -> None:
    for step in range(3_000):
        try:
            current_job.progress(step, 3_000, "working")
        except Exception:
            if not swallow:
                raise
        time.sleep(0.01)


@event.listens_for(db.session, "before_commit")
def _delay_commit(_: Any) -> None:
    time.sleep(g.pop("commit_delay", 0))


@shared_task(name="probe.wait", bind=True)
def wait(self: Task, result: Any = None) -> Any:
    """Run until the test says go."""
    note(self.request.id, started=True)
    wait_for_go(self.request.id)
    return result


@shared_task(name="probe.retry_when_told", bind=True)
def retry_when_told(self: Task) -> None:
    """Ask for a retry in an hour, once the test says go."""
    note(self.request.id, started=True)
    wait_for_go(self.request.id)
    raise self.retry(countdown=3_600)


@shared_task(name="probe.ask_until_cancelled", bind=True)
def ask_until_cancelled(self: Task) -> str:
    """Without progress calls, so that nothing but the question can tell."""
    note(self.request.id, started=True)
    end = time.monotonic() + 30
    while not current_job.cancelled:
        assert time.monotonic() < end, "nobody has cancelled"
        time.sleep(0.01)
    return "stopped by itself"


@shared_task(name="probe.outlive_redis")
def outlive_redis(folder: str) -> str:
    """Tell its progress and ask whether it is cancelled while Redis is stopped, and end before it is back."""
    current_job.progress(0, 3, "with Redis")
    end = time.monotonic() + 30
    while not (Path(folder) / "redis is away").exists():
        assert time.monotonic() < end, "Redis did not go away"
        time.sleep(0.02)
    time.sleep(0.2)  # past the interval in which progress is kept back
    current_job.progress(1, 3, "without Redis")
    assert not current_job.cancelled
    (Path(folder) / "still counting").touch()
    return "counted"


@shared_task(name="probe.ignored", ignore_result=True, bind=True)
def ignored(self: Task, outcome: str) -> str:
    """A job whose result nobody wants."""
    note(self.request.id, started=True)
    if outcome == "failure":
        raise ValueError("ignored too")
    return "a value"


@shared_task(name="probe.answer")
def answer(value: Any = None) -> Any:
    return value


@shared_task(name="probe.replace_itself", bind=True)
def replace_itself(self: Task, value: Any) -> None:
    raise self.replace(answer.s(value))


@shared_task(name="probe.fail")
def fail(*_: Any) -> None:
    raise ValueError("told to fail")


@shared_task(name="probe.add_up")
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="probe.count_quickly", bind=True)
def count_quickly(self: Task, steps: int, fail_at_the_end: bool = False) -> int:
    """As many progress calls as fit, without a total until the last one."""
    for step in range(1, steps):
        current_job.progress(step, None, "counting")
    current_job.progress(steps, None, "counted")
    if fail_at_the_end:
        raise ValueError("after counting")
    return steps


@shared_task(name="probe.report_in_seconds", bind=True)
def report_in_seconds(self: Task, seconds: float) -> int:
    """Progress in a tight loop; answers how many calls it made."""
    calls, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        calls += 1
        current_job.progress(calls)
    current_job.progress(calls, calls, "done")
    return calls


@shared_task(name="probe.attach", bind=True)
def attach(self: Task, folder: str) -> str | None:
    """Leave a file with the result."""
    source = Path(folder) / "answer.txt"
    source.write_text("42")
    current_job.attach(source, name="answer.txt", content_type="text/plain")
    return current_job.task_id


@shared_task(name="probe.read_input")
def read_input(file_id: str) -> list[str]:
    """An input file's end, and then its beginning."""
    with current_job.open_file(file_id) as file:
        file.seek(-2, os.SEEK_END)
        end = file.read()
        file.seek(0)
        return [end.decode(), file.read(4).decode()]


_parent_connection: dict[str, int] = {}


@signals.worker_init.connect(weak=False)
def _connect_in_parent(**_: Any) -> None:
    """The worker's parent process uses the database before it forks, as a job's module may."""
    from libs.flask_celery import celery_app

    with celery_app.flask_app.app_context():
        if db.engine.dialect.name == "postgresql":
            _parent_connection["pid"] = os.getpid()
            _parent_connection["backend"] = db.session.execute(text("SELECT pg_backend_pid()")).scalar_one()


@shared_task(name="probe.backend_process")
def backend_process() -> dict[str, Any]:
    """Which PostgreSQL process serves this job, and which one served the worker's parent before the fork."""
    return {
        "parent": dict(_parent_connection),
        "pid": os.getpid(),
        "backend": db.session.execute(text("SELECT pg_backend_pid() FROM pg_sleep(0.1)")).scalar_one(),
    }


@shared_task(name="probe.take_steps", bind=True)
def take_steps(self: Task, steps: int) -> str:
    """One step each time the test says go: a line in the log, and progress."""
    for number in range(1, steps + 1):
        wait_for_go(self.request.id, timeout=60)
        current_job.log(f"step {number}", "warning")
        current_job.progress(number, steps)
    return "arrived"


@shared_task(name="probe.log_much", bind=True, max_retries=1)
def log_much(self: Task, lines: int, outcome: str = "success") -> int:
    """Log in a tight loop, then end as told, right after the last line; answers how many lines one run logs."""
    for number in range(lines):
        current_job.log(f"line {number}", "debug")
    current_job.progress(lines, lines)
    current_job.log(f"last of try {self.request.retries}")
    match outcome:
        case "failure":
            raise ValueError("told to fail")
        case "retry" if self.request.retries == 0:
            raise self.retry(countdown=2)  # or its next run may begin before the state is stored
        case "until cancelled":
            note(self.request.id, started=True)
            work_until_cancelled(swallow=False)
    return lines + 1


@shared_task(name="probe.say_two_things", bind=True)
def say_two_things(self: Task) -> None:
    """Two words in a row, then nothing more until the test says go."""
    for number in (1, 2):
        current_job.progress(number, 3)
        current_job.log(f"word {number}")
    wait_for_go(self.request.id)


@shared_task(name="probe.count_to_a_million")
def count_to_a_million() -> float:
    """Answers how many seconds a million progress calls took."""
    began = time.monotonic()
    for number in range(1, 1_000_001):
        current_job.progress(number, 1_000_000)
    return time.monotonic() - began
