"""``celery -A libs.flask_celery:celery_app …`` from the root of the repository, as Celery's manual has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.functional.job_runs import JobRuns


def celery(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Without the repository on PYTHONPATH: Celery finds it in the working directory."""
    clean = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    command = [str(Path(sys.executable).with_name("celery")), "-A", "libs.flask_celery:celery_app"]
    return subprocess.run(
        [*command, *words], env=clean, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_report_lists_our_settings(environment: dict[str, str]) -> None:
    done = celery("report", environment=environment)

    assert done.returncode == 0, done.stderr
    assert "libs.flask_celery.loader.JobLoader" in done.stdout
    assert "task_acks_late: True" in done.stdout


def test_ping_answers_for_a_running_worker(runs: JobRuns) -> None:
    done = celery("inspect", "ping", environment=runs.installation.environment)

    assert done.returncode == 0, done.stderr
    assert "pong" in done.stdout


def test_registered_tasks_are_the_discovered_ones(runs: JobRuns) -> None:
    done = celery("inspect", "registered", environment=runs.installation.environment)

    assert "maintenance.adds" in done.stdout, done.stderr
    assert "probe.answer" in done.stdout


def test_beat_starts(environment: dict[str, str]) -> None:
    done = celery("beat", "--help", environment=environment)

    assert done.returncode == 0, done.stderr
    assert "--schedule" in done.stdout


def test_call_publishes_with_a_record(runs: JobRuns) -> None:
    done = celery("call", "maintenance.adds", "--args", "[1, 2]", environment=runs.installation.environment)

    assert done.returncode == 0, done.stderr
    assert runs.ended(done.stdout.strip()).result == 3


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TIMEZONE", "Nowhere/City", "TIMEZONE wants a name such as Europe/Berlin, not 'Nowhere/City'."),
        ("CELERY_TASK_TIMELIMIT", "60", "CELERY_TASK_TIMELIMIT: is not a Celery setting; did you mean "),
        ("CELERY_TASK_ACKS_LATE", "perhaps", "CELERY_TASK_ACKS_LATE: wants true or false, not 'perhaps'"),
        ("CELERY_RESULT_COMPRESSION", "gzip", "CELERY_RESULT_COMPRESSION: is not supported: "),
    ],
)
def test_a_bad_setting_is_one_clear_line(environment: dict[str, str], variable: str, value: str, said: str) -> None:
    done = celery("worker", environment={**environment, variable: value})

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"taskgate: {said}")


def test_an_attribute_error_of_the_application_is_not_taken_for_a_missing_attribute(
    environment: dict[str, str],
) -> None:
    code = """
import app, libs.flask_celery
app.create_app = lambda config: None.there_is_no_such_thing
try:
    libs.flask_celery.celery_app
except RuntimeError as error:
    print(error, type(error.__cause__).__name__)
"""

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("The application could not be built: 'NoneType' object has no attribute"), (
        done.stderr
    )
    assert done.stdout.strip().endswith("AttributeError")


def test_another_attribute_is_missing_as_usual() -> None:
    import libs.flask_celery

    with pytest.raises(AttributeError, match="no attribute 'celery_apps'"):
        libs.flask_celery.celery_apps  # noqa: B018
