"""What ``manage.py new-job`` writes, and what it does not."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands import new_job as command
from app.new_job import NewJob, NewJobError, write_job
from tests.conftest import ROOT

RUFF = Path(sys.executable).with_name("ruff")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with nothing in it but its settings of ruff and the places where a job goes."""
    for folder in ("app/jobs/present", "libs/flask_celery/testing", "tests/jobs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "app/jobs/present/tasks.py").write_text("")
    empty = ("app/__init__", "app/jobs/fields", "app/jobs/queues", "libs/flask_celery/__init__")
    for module in (*empty, "libs/flask_celery/testing/__init__"):  # as what ours are told from others' by
        (tmp_path / f"{module}.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_package_and_a_test_are_written(root: Path) -> None:
    before = files(root)

    package, test = write_job(root, NewJob.named("greetings.greet_all"))

    assert (str(package), str(test)) == ("app/jobs/greetings", "tests/jobs/greetings/test_greet_all.py")
    modules = {f"{package}/{name}.py" for name in ("__init__", "schemas", "services", "tasks")}
    assert files(root) - before == {str(package), str(test.parent), str(test)} | modules
    assert '    """Greet all.\n' in (root / package / "tasks.py").read_text()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.b", {}),
        ("queues2.count", {"queue": "for_task_compute"}),
        ("zebras.match", {"queue": "for_task_compute", "description": "Count what Ann's zebras eat"}),
        ("b2.run", {"queue": "reports"}),
        ("p" * 28 + "." + "v" * 28, {"queue": "q" * 64, "description": "d" * 100}),
        ("a_long_name_of_a_package_xyz.a_long_name_of_a_verb_xyz_ab", {"queue": "for_task_collect"}),
    ],
)
def test_it_is_in_the_style_of_the_repository(name: str, options: dict[str, str], root: Path) -> None:
    package, test = write_job(root, NewJob.named(name, **options))

    for words in (["check"], ["format", "--check", "--diff"]):
        command = [str(RUFF), *words, "--no-cache", str(package), str(test)]
        outcome = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("queue", "line"),
    [
        (None, None),
        ("for_task_compute", "    queue=COMPUTE,"),
        ("for_task_collect", "    queue=COLLECT,"),
        ("reports", '    queue="reports",'),
    ],
)
def test_the_queue_is_said_as_elsewhere(queue: str | None, line: str | None, root: Path) -> None:
    package, _ = write_job(root, NewJob.named("greetings.greet", queue=queue))

    lines = (root / package / "tasks.py").read_text().splitlines()
    assert [each for each in lines if "queue=" in each] == ([line] if line else [])


@pytest.mark.parametrize(
    "name",
    [
        *("", "greet", "greetings.", ".greet", "a.b.c", "Greetings.greet", "greetings.Greet", "greetings.greet-all"),
        *("1a.b", "a.1b", "_a.b", "a._b", "a.b_", "a.b__c", "a/b.c", "../a.b", "a.b\n", "é.b", "a b.c"),
        *("class.greet", "greetings.import", "greetings.print", "greetings.job", "greetings.services"),
        *("greetings." + "v" * 29, "p" * 29 + ".greet"),
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(NewJobError, match=r"\.$"):
        NewJob.named(name)


def test_a_description_is_made_a_sentence() -> None:
    assert NewJob.named("greetings.greet_all").description == "Greet all."
    assert NewJob.named("greetings.greet_all", description=" greet all of them! ").description == "Greet all of them!"
    with pytest.raises(NewJobError, match="says what the job does"):
        NewJob.named("greetings.greet_all", description="This greets all")


@pytest.mark.parametrize("text", [" ", "two\nlines", 'a "quote"', "back\\slash", "x" * 101, "nul\0"])
def test_a_description_that_would_break_the_file_is_refused(text: str) -> None:
    with pytest.raises(NewJobError, match="A description is one line"):
        NewJob.named("greetings.greet", description=text)


@pytest.mark.parametrize("queue", ["", "a b", 'a"', "q" * 65, "-q", "a\n"])
def test_a_bad_queue_is_refused(queue: str) -> None:
    with pytest.raises(NewJobError, match="A queue's name"):
        NewJob.named("greetings.greet", queue=queue)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("present.greet", "app/jobs/present"),
        ("fields.greet", "app/jobs/fields.py"),
        ("greetings.greet", "tests/jobs/greetings/test_greet.py"),
    ],
)
def test_what_is_there_is_not_written_over(name: str, there: str, root: Path) -> None:
    (root / "tests/jobs/greetings").mkdir()
    (root / "tests/jobs/greetings/test_greet.py").write_text("mine")
    before = files(root)

    with pytest.raises(NewJobError, match=f"^{there} is there already, and stays as it is"):
        write_job(root, NewJob.named(name))

    assert files(root) == before
    assert (root / "tests/jobs/greetings/test_greet.py").read_text() == "mine"


@pytest.mark.parametrize("failing", ["mkdir", "write_text", "open", "rename"])
def test_of_what_cannot_be_written_in_full_nothing_is(
    failing: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = files(root), getattr(Path, failing)

    def full(path: Path, *args: object, **options: object) -> object:
        if {"mkdir": "tests", "write_text": "tasks.py", "open": "test_greet.py", "rename": "greetings"}[failing] in (
            str(path.relative_to(root)) if failing == "mkdir" else path.name
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **options)

    monkeypatch.setattr(Path, failing, full)
    with pytest.raises(NewJobError, match=r"Nothing was written: .*No space left"):
        write_job(root, NewJob.named("greetings.greet"))

    assert files(root) == before


def test_a_test_that_cannot_be_filled_is_taken_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the file is there already."""
    before = files(root)
    monkeypatch.setattr("app.new_job.writing.test_file", lambda _: "\ud800")  # which cannot be encoded

    with pytest.raises(UnicodeEncodeError):
        write_job(root, NewJob.named("greetings.greet"))

    assert files(root) == before


def test_the_command_says_what_to_do_next_in_three_lines(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["app.commands.new_job"], "ROOT", root)

    outcome = CliRunner().invoke(command, ["greetings.greet_all", "--describe", "Greet everybody"])

    assert outcome.exit_code == 0, outcome.output
    edit, test, submit = outcome.output.splitlines()
    assert edit.startswith("1. Edit app/jobs/greetings: ")
    assert test == "2. Test it: make test TESTS=tests/jobs/greetings/test_greet_all.py"
    assert submit.endswith('jobs submit greetings.greet_all \'items=["bolt", "nut"]\' --wait')

    again = CliRunner().invoke(command, ["greetings.greet_all"])
    assert again.exit_code == 1
    assert again.output.startswith("Error: app/jobs/greetings is there already")
