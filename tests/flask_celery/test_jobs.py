"""``@job``: what a declaration says, and what its function gets."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import Task
from marshmallow import Schema, fields, validate
from redis import Redis

from libs.flask_celery import (
    FlaskCelery,
    InvalidParamsError,
    JobSpec,
    JobState,
    UnknownTaskError,
    import_jobs,
    job,
    job_spec,
    job_specs,
    submit,
)


class OrderParams(Schema):
    code = fields.String(required=True, validate=validate.Length(max=5))
    price = fields.Decimal(load_default=None, allow_none=True)
    due = fields.AwareDateTime(load_default=None)
    day = fields.Date(load_default=None)
    batch = fields.UUID(load_default=None)


def describe(*values: object) -> str:
    return " ".join(f"{type(value).__name__}={value}" for value in values)


@pytest.fixture
def order(own_tasks: None, celery_app: FlaskCelery) -> Any:
    """A job of this test's Celery app alone."""

    @job("orders.place", params=OrderParams, example={"code": "a"}, queue="orders", time_limit=5)
    def place(
        code: str,
        price: Decimal | None = None,
        due: datetime | None = None,
        day: date | None = None,
        batch: UUID | None = None,
    ) -> str:
        """Place an order.

        Answers what it was given, with types.
        """
        return describe(code, price, due, day, batch)

    @job("orders.bound", params=OrderParams, bind=True)
    def bound(
        self: Task, code: str, price: Any = None, due: Any = None, day: Any = None, batch: Any = None
    ) -> list[object]:
        return [self.name, self.request.id, code]

    celery_app.finalize()
    return celery_app.tasks["orders.place"]


def test_a_declaration_describes_itself(order: Any, celery_app: FlaskCelery) -> None:
    spec = job_spec(celery_app, "orders.place")

    assert spec.description == "Place an order.\n\nAnswers what it was given, with types."
    assert spec.summary == "Place an order."
    assert (spec.params, spec.queue, spec.example) == (OrderParams, "orders", {"code": "a"})
    assert spec.argument_names == ("code", "price", "due", "day", "batch")
    assert order.time_limit == 5
    assert list(job_specs(celery_app)) == sorted(job_specs(celery_app))
    with pytest.raises(UnknownTaskError):
        job_spec(celery_app, "celery.chord")  # a task, but not one for clients


def test_a_job_that_is_not_offered_runs_and_is_no_clients(
    own_tasks: None, celery_app: FlaskCelery, redis_url: str
) -> None:
    @job("orders.sweep", params=OrderParams, queue="orders", offered=False)
    def sweep(code: str, **_: object) -> str:
        """Sweep."""
        return code

    celery_app.finalize()
    assert "orders.sweep" not in job_specs(celery_app)
    with pytest.raises(UnknownTaskError):
        submit(celery_app, "orders.sweep", {"code": "a"})
    with pytest.raises(InvalidParamsError):
        celery_app.tasks["orders.sweep"].apply(kwargs={"price": "none"}, throw=True)
    queued = celery_app.tasks["orders.sweep"].delay(code="a").id
    assert celery_app.backend.records.get(queued).queue == "orders"


def test_the_function_is_plain_python(order: Any) -> None:
    """No schema is applied: a test of the function gives what the function takes."""
    assert order("any length at all", price="not a price") == (
        "str=any length at all str=not a price NoneType=None NoneType=None NoneType=None"
    )


@pytest.mark.parametrize(
    ("args", "kwargs"), [(("a", "1.5"), {}), (("a",), {"price": "1.5"}), ((), {"code": "a", "price": "1.5"})]
)
def test_arguments_by_position_and_by_name(order: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert order.apply(args, kwargs).get().startswith("str=a Decimal=1.5 ")


def test_values_that_python_callers_pass_typed(order: Any) -> None:
    due, batch = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), UUID(int=7)

    result = order.apply(("a", Decimal("1.50"), due, date(2026, 1, 2), batch)).get()

    assert result == describe("a", Decimal("1.50"), due, date(2026, 1, 2), batch)


def test_the_task_itself_comes_first_with_bind(order: Any, celery_app: FlaskCelery) -> None:
    bound = celery_app.tasks["orders.bound"]

    assert bound.apply(("a",), task_id="an-id").get() == ["orders.bound", "an-id", "a"]
    assert bound("a") == ["orders.bound", None, "a"]


@pytest.mark.parametrize(
    ("args", "kwargs", "messages"),
    [
        ((), {}, {"code": ["Missing data for required field."]}),
        (("a", 1, None, None, None, "more"), {}, {"_schema": ["Takes 5 arguments, not 6."]}),
        (("a",), {"cod": 1}, {"cod": ["Unknown field."]}),
        (("longer",), {}, {"code": ["Longer than maximum length 5."]}),
        (("a", "much"), {}, {"price": ["Not a valid number."]}),
    ],
)
def test_invalid_params_fail_the_job(
    order: Any, args: tuple[Any, ...], kwargs: dict[str, Any], messages: dict[str, Any]
) -> None:
    result = order.apply(args, kwargs)

    assert result.state == "FAILURE"
    assert isinstance(result.result, InvalidParamsError)
    assert (result.result.task, result.result.messages) == ("orders.place", messages)


def test_submit_refuses_invalid_params_before_publishing(order: Any, celery_app: FlaskCelery) -> None:
    with pytest.raises(InvalidParamsError):
        submit(celery_app, "orders.place", {"code": "longer"})
    with pytest.raises(UnknownTaskError):
        submit(celery_app, "orders.none", {})

    assert list(celery_app.backend.records.newest("")) == []


def test_a_body_loads_to_typed_values() -> None:
    spec = JobSpec("orders.place", OrderParams, "", None, None, ("code", "price", "due", "day", "batch"))
    body = {"code": "a", "due": "2026-01-02T03:04:00+08:00", "day": "2026-01-02", "batch": str(UUID(int=7))}

    loaded = spec.load_body(body)

    assert (loaded["day"], loaded["batch"]) == (date(2026, 1, 2), UUID(int=7))
    assert loaded["due"].utcoffset().total_seconds() == 8 * 3600


def test_submit_publishes_the_body_as_it_came(own_tasks: None, celery_app: FlaskCelery, redis_url: str) -> None:
    class SecretParams(Schema):
        password = fields.String(required=True, load_only=True)
        kind = fields.String(required=True, data_key="type")

    @job("orders.secret", params=SecretParams)
    def keep(password: str, kind: str) -> None: ...

    celery_app.finalize()
    body = {"password": "p", "type": "k"}

    submit(celery_app, "orders.secret", body)

    with Redis.from_url(redis_url, db=2) as broker:
        message = json.loads(broker.lindex("default", 0))
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert kwargs == body
    assert job_spec(celery_app, "orders.secret").load((), kwargs) == {"password": "p", "kind": "k"}


def test_what_the_schema_has_a_default_for_need_not_be_sent(own_tasks: None, celery_app: FlaskCelery) -> None:
    class PageParams(Schema):
        size = fields.Integer(load_default=50)

    @job("orders.list_all", params=PageParams)
    def list_all(size: int) -> int:
        return size

    celery_app.finalize()

    submitted = submit(celery_app, "orders.list_all", {})

    assert celery_app.backend.records.get(submitted.task_id).state is JobState.PENDING
    assert job_spec(celery_app, "orders.list_all").load((), {}) == {"size": 50}


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``make_package({"a/tasks.py": "…"})`` imports a package with these files."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(files: dict[str, str]) -> Any:
        for name, content in {"found_jobs/__init__.py": "", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        importlib.invalidate_caches()
        return importlib.import_module("found_jobs")

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "found_jobs"]:
        del sys.modules[name]


def test_discovery_imports_tasks_and_models_of_each_package(make_package: Any) -> None:
    package = make_package(
        {
            "found_jobs/b/__init__.py": "",
            "found_jobs/b/tasks.py": "",
            "found_jobs/a/__init__.py": "",
            "found_jobs/a/models.py": "",
            "found_jobs/a/tasks.py": "from found_jobs.a import models",
            "found_jobs/without_tasks/__init__.py": "",
            "found_jobs/a_module.py": "raise AssertionError('not a package')",
        }
    )

    assert import_jobs(package) == ["found_jobs.a", "found_jobs.b", "found_jobs.without_tasks"]
    assert {"found_jobs.a.tasks", "found_jobs.a.models", "found_jobs.b.tasks"} <= sys.modules.keys()


def test_a_folder_with_tasks_alone_is_a_job_package(make_package: Any) -> None:
    package = make_package({"found_jobs/a/tasks.py": "", "found_jobs/notes/a.txt": "", "found_jobs/.b/tasks.py": ""})

    assert import_jobs(package) == ["found_jobs.a"]
    assert "found_jobs.a.tasks" in sys.modules


@pytest.mark.parametrize("broken", ["import a_module_that_is_not_there", "1 / 0", "def ("])
def test_what_is_wrong_with_a_job_package_is_its_authors_to_see(make_package: Any, broken: str) -> None:
    package = make_package({"found_jobs/a/__init__.py": "", "found_jobs/a/tasks.py": broken})

    with pytest.raises((ModuleNotFoundError, ZeroDivisionError, SyntaxError)):
        import_jobs(package)
