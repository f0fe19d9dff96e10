"""One function as a transactional job and as another one: each run of it adds a row that names the run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from celery import Task, shared_task
from celery.exceptions import Ignore, Reject
from flask import g
from marshmallow import Schema, ValidationError, fields
from sqlalchemy import event, text

from app.extensions import db
from libs.flask_celery import current_job, job
from tests.functional.probe_jobs import answer, note, wait_for_go, work_until_cancelled
from tests.functional.typed_answer import TYPED

BROKEN_OFF = "DO $$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END $$"


def apply_effect(self: Task, how: str = "success") -> Any:
    """Add the row, answer with the run's name. What is to happen once happens to the first run."""
    task_id, run = self.request.id, uuid4().hex
    first = note(task_id, run=run) == 1
    if how.startswith("wait"):
        wait_for_go(task_id)
    if how == "read only":
        db.session.execute(text("SELECT count(*) FROM probe_effects")).scalar_one()
        return run
    db.session.execute(text("INSERT INTO probe_effects (job, run) VALUES (:job, :run)"), {"job": task_id, "run": run})
    if how == "write and wait":
        note(task_id, written=run)
        wait_for_go(task_id)
    if first:
        happen_once(self, how)
    if how == "not JSON":
        return {run}
    happen(self, how, run)
    return run


def happen_once(self: Task, how: str) -> None:
    match how:
        case "child dies" | "worker dies" | "wait, worker dies" | "hook fails" | "hangs":
            g.after_commit = how.removeprefix("wait, ")
        case "answer is lost":
            lose_the_next_commits_answer()
        case "failure once":
            raise self.retry(exc=ValueError("after the write"), countdown=0)
        case "broken off once":
            db.session.execute(text(BROKEN_OFF))


def happen(self: Task, how: str, run: str) -> None:
    task_id = self.request.id
    match how:
        case "failure":
            raise ValueError("after the write")
        case "own collision":
            for _ in range(2):
                db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": task_id})
        case "collision at commit":
            db.session.execute(text("INSERT INTO probe_children (parent) VALUES ('nobody')"))
        case "slow commit":
            g.commit_delay = 3.0
        case "hang":
            time.sleep(60)
        case "until cancelled":
            work_until_cancelled(swallow=False)
        case "ignore" | "reject":
            raise Ignore if how == "ignore" else Reject("not this one")
        case "replace":
            raise self.replace(answer.s(run))
        case "commit":
            db.session.commit()
        case "savepoint":
            with db.session.begin_nested():
                db.session.execute(text("INSERT INTO probe_rows (name) VALUES (:name)"), {"name": task_id})


def lose_the_next_commits_answer() -> None:
    """The server commits, and the connection breaks before it can say so."""
    dialect = db.engine.dialect
    commit = dialect.do_commit

    def commit_in_silence(connection: Any) -> None:
        del dialect.do_commit
        commit(connection)
        raise dialect.loaded_dbapi.OperationalError("the connection is lost")

    dialect.do_commit = commit_in_silence


@shared_task(name="probe.apply_once", bind=True, transactional=True, default_retry_delay=0)
def apply_once(self: Task, how: str = "success") -> Any:
    return apply_effect(self, how)


@shared_task(name="probe.apply_without_retries", bind=True, transactional=True, max_retries=0)
def apply_without_retries(self: Task, how: str = "success") -> Any:
    return apply_effect(self, how)


@shared_task(name="probe.apply_each_time", bind=True, default_retry_delay=0)
def apply_each_time(self: Task, how: str = "success") -> Any:
    return apply_effect(self, how)


def must_be_there(folder: str) -> None:
    if not Path(folder).is_dir():
        raise ValidationError("There is no such folder.")


class FileParams(Schema):
    folder = fields.String(required=True, validate=must_be_there)


@job("probe.attach_once", params=FileParams, bind=True, transactional=True, default_retry_delay=0)
def attach_once(self: Task, folder: str) -> dict[str, Any]:
    """Say how far it is, leave a file, answer with types, and die once the first run is committed."""
    run = apply_effect(self, "child dies")
    source = Path(folder) / "answer.txt"
    source.write_text(run)
    current_job.progress(3, 3, "attached")
    current_job.attach(source, name=source.name, content_type="text/plain")
    source.parent.rmdir()
    return {"run": run, **TYPED}


@event.listens_for(db.session, "after_commit")
def _strike_after_commit(_: Any) -> None:
    match g.pop("after_commit", None):
        case "child dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "worker dies":
            worker = psutil.Process()
            if "celery" in " ".join(worker.parent().cmdline()):
                worker = worker.parent()  # prefork
            others = [process for process in worker.children(recursive=True) if process.pid != os.getpid()]
            for process in [worker, *others]:
                process.kill()
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(60)
        case "hook fails":
            raise ValueError("after the commit")
