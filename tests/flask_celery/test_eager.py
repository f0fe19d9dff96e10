"""Eager execution and direct calls: plain Python in the caller's context, session and transaction."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from flask import Flask, current_app, g, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from app.extensions import db
from app.models import job_completions
from config import Config
from libs.flask_celery import (
    CelerySettings,
    ContextTask,
    FlaskCelery,
    SettingError,
    current_job,
    forget_completions,
    make_celery,
)
from libs.flask_celery.database import run_once
from tests.conftest import built_app


class Telling(ContextTask):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        g.hooks.append("before_start")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        g.hooks.append("on_success")

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        g.hooks.append("on_failure")

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        g.hooks.append("after_return")


def insert(name: str, fails: bool = False) -> int:
    g.hooks = g.get("hooks", [])
    db.session.execute(text("INSERT INTO names (name) VALUES (:name)"), {"name": name})
    if fails:
        raise ValueError("told to fail")
    return id(db.session())


@pytest.fixture
def task(own_tasks: None, app: Flask) -> Any:
    shared_task(name="eager.insert", base=Telling)(insert)
    celery_app: FlaskCelery = app.extensions["celery"]
    celery_app.finalize()
    with app.app_context():
        db.session.execute(text("CREATE TABLE names (name VARCHAR(20))"))
        db.session.commit()
    return celery_app.tasks["eager.insert"]


def committed(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.execute(text("SELECT name FROM names")).scalars())


def test_an_eager_job_uses_its_callers_context_session_and_transaction(app: Flask, task: Any) -> None:
    with app.app_context():
        g.hooks = []
        insert("caller")

        result = task.apply(("job",))

        assert result.get() == id(db.session())
        assert g.hooks == ["before_start", "on_success", "after_return"]
        db.session.rollback()
    assert committed(app) == []


def test_an_eager_job_that_fails_leaves_its_callers_transaction_alone(app: Flask, task: Any) -> None:
    with app.app_context():
        g.hooks = []
        insert("caller")

        result = task.apply(("job", True))

        assert result.state == "FAILURE"
        assert g.hooks == ["before_start", "on_failure", "after_return"]
        db.session.commit()
    assert committed(app) == ["caller", "job"]


def test_a_direct_call_is_a_function_call(app: Flask, task: Any) -> None:
    with app.app_context():
        assert task("job") == id(db.session())
        assert g.hooks == []
        with pytest.raises(ValueError, match="told to fail"):
            task("job", fails=True)
        db.session.rollback()
    assert committed(app) == []


def test_without_a_context_an_eager_job_has_its_own_and_commits(app: Flask, task: Any) -> None:
    plain = shared_task(name="eager.plain")(insert)

    assert plain.apply(("job",)).successful()

    assert not has_app_context()
    assert committed(app) == ["job"]
    assert plain.apply(("failing", True)).failed()
    assert committed(app) == ["job"]


@pytest.mark.parametrize("in_context", [True, False])
def test_a_transactional_job_is_an_eager_one_like_others(app: Flask, task: Any, in_context: bool) -> None:
    """Nobody delivers it a second time, so each call runs it, and no completion is kept."""
    once = shared_task(name="eager.once", transactional=True)(insert)
    with app.app_context() if in_context else nullcontext():
        for _ in range(2):
            assert once.apply(("job",), task_id="an-id").successful()
        if in_context:
            once("direct")
            assert db.session.query(job_completions).count() == 0
            db.session.rollback()
    with app.app_context():
        assert db.session.query(job_completions).count() == 0
    assert committed(app) == ([] if in_context else ["job", "job"])


@pytest.mark.parametrize(("extension", "wanted"), [(None, "Flask-SQLAlchemy"), (SQLAlchemy, "completions_table")])
def test_a_transactional_job_needs_a_table(own_tasks: None, redis_url: str, extension: Any, wanted: str) -> None:
    bare = Flask("bare")
    bare.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    if extension is not None:
        extension().init_app(bare)
    celery_app = make_celery(bare, CelerySettings(broker_url=f"{redis_url}/2", result_url=f"{redis_url}/1"))
    task = celery_app.task(transactional=True, name="eager.nowhere")(who)

    with bare.app_context(), pytest.raises(SettingError, match=wanted):
        run_once(task, task.run)

    assert forget_completions(bare, timedelta(0)) == 0
    celery_app.close()


def who() -> list[str | None]:
    return [g.principal, current_app.name, current_job.task_id]


def test_task_always_eager_runs_in_the_request(own_tasks: None, config: Config) -> None:
    shared_task(name="eager.who")(who)
    with built_app(replace(config, celery={"CELERY_TASK_ALWAYS_EAGER": "true"})) as app:
        task = app.extensions["celery"].tasks["eager.who"]
        with app.test_request_context():
            g.principal = "ann"
            assert task.delay().get() == ["ann", "taskgate", None]


def test_outside_of_a_job_current_job_does_nothing(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("kept")

    current_job.progress(1, 2, "nobody sees it")
    current_job.attach(source, name="file", content_type="text/plain")

    assert (current_job.task_id, current_job.cancelled) == (None, False)
    assert source.read_text() == "kept"
