"""The files of a new job. Lines fit for the longest names, and none is such that a formatter would join it."""

from string import Template

from app.new_job.new_job import NewJob

_INIT = '''"""The $package jobs."""
'''

_SCHEMAS = '''"""The params of the $package jobs."""

from marshmallow import Schema, fields, validate


class $schema(Schema):
    """Params of ``$name``."""

    items = fields.List(
        fields.String(validate=validate.Length(1, 200)),
        required=True,
        validate=validate.Length(1, 1000),
        metadata={"description": "What to go through, in this order."},
    )
'''

_SERVICES = '''"""What the $package jobs do: plain Python that knows neither Flask nor Celery."""

from collections.abc import Callable, Sequence


def $verb(items: Sequence[str], *, on_progress: Callable[[int, int], None]) -> dict[str, int]:
    """Go through the items. Returns: how many there were, and how many characters they have in all."""
    characters = 0
    for number, item in enumerate(items, start=1):
        characters += len(item)
        on_progress(number, len(items))
    return {"items": len(items), "characters": characters}
'''

_TASKS = '''"""The $package jobs: shells that find what a service needs, call it and answer."""

${imports}from libs.flask_celery import current_job, job


@job(
    "$name",
    params=$schema,
    example={"items": ["bolt", "nut"]},
${queue_line}    time_limit=600,
)
def $verb(items: list[str]) -> dict[str, int]:
    """$description

    Answers how many items there were, and how many characters they have in all.
    """
    return services.$verb(items, on_progress=current_job.progress)
'''

_TEST = '''"""``$name`` as plain Python, then over HTTP in a real worker."""

from __future__ import annotations

from flask.testing import FlaskClient

from app.jobs.$package import services
from libs.flask_celery import JobState
from libs.flask_celery.testing import RunJob

URL = "/api/1.0/tasks/$name/jobs"


def test_every_item_counts() -> None:
    told: list[tuple[int, ...]] = []

    found = services.$verb(["bolt", "nut"], on_progress=lambda *step: told.append(step))

    assert found == {"items": 2, "characters": 7}
    assert told == [(1, 2), (2, 2)]


def test_a_worker_runs_it(run_job: RunJob) -> None:
    outcome = run_job("$name", items=["bolt", "nut"])

    assert outcome.state is JobState.SUCCESS, outcome.error
    assert outcome.result == {"items": 2, "characters": 7}
    assert outcome.progress is not None
    assert (outcome.progress.current, outcome.progress.total) == (2, 2)


def test_without_items_it_is_refused(taskgate_client: FlaskClient) -> None:
    answer = taskgate_client.post(URL, json={"items": []})

    assert (answer.status_code, set(answer.json["errors"])) == (422, {"items"})
'''


def package_files(job: NewJob) -> dict[str, str]:
    """The text of each module of its package, by the file's name."""
    return {
        "__init__.py": _filled(_INIT, job),
        "schemas.py": _filled(_SCHEMAS, job),
        "services.py": _filled(_SERVICES, job),
        "tasks.py": _filled(_TASKS, job),
    }


def test_file(job: NewJob) -> str:
    """The text of its test."""
    return _filled(_TEST, job)


def _filled(text: str, job: NewJob) -> str:
    return Template(text).substitute(
        package=job.package,
        verb=job.verb,
        name=job.name,
        schema=job.schema,
        description=job.description,
        imports="".join(sorted(_imports(job), key=str.split)),
        queue_line=f"    queue={_queue(job)},\n" if job.queue else "",
    )


def _imports(job: NewJob) -> list[str]:
    """What ``tasks.py`` imports of the application."""
    package = f"app.jobs.{job.package}"
    found = [f"from {package} import services\n", f"from {package}.schemas import {job.schema}\n"]
    return [*found, f"from app.jobs.queues import {job.queue_constant}\n"] if job.queue_constant else found


def _queue(job: NewJob) -> str:
    return job.queue_constant or f'"{job.queue}"'
