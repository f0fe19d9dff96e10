"""``manage.py new-job`` in a copy of the repository: what it wrote passes every check, and clients see the job."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long

NAME = "greetings.greet_all"

SEEN = f"""
def test_clients_see_it(taskgate_client):
    [task] = [task for task in taskgate_client.get("/api/1.0/tasks").json["tasks"] if task["name"] == "{NAME}"]
    assert task["summary"] == "Greet everybody."
    assert task["queue"] == "for_task_compute"
    assert task["params"]["required"] == ["items"]
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as it is, with a job that the command has written."""
    root = tmp_path_factory.mktemp("copy") / "taskgate"
    root.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("app", "libs", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=unwanted)
    for name in ("config.py", "manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    if (ROOT / ".mypy_cache").is_dir():  # mypy would take a minute more
        shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
    words = ["manage.py", "new-job", NAME, "--describe", "greet everybody", "--queue", "for_task_compute"]
    outcome = run(root, *words)
    assert outcome.returncode == 0, outcome.stderr
    assert len(outcome.stdout.splitlines()) == 3
    return root


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python of the copy, which nothing leads to this tree."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "REDIS_URL")}
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=170, check=False
    )


def test_its_own_test_passes_and_clients_see_it(copy: Path) -> None:
    folder = copy / "tests" / "jobs" / "greetings"
    (folder / "test_seen.py").write_text(SEEN)

    outcome = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/jobs/greetings")

    assert outcome.returncode == 0, outcome.stdout
    assert "4 passed" in outcome.stdout


@pytest.mark.timeout(400)
def test_ruff_mypy_and_the_contracts_are_content(copy: Path) -> None:
    written = ("app/jobs/greetings", "tests/jobs/greetings/test_greet_all.py")
    for words in (
        ("-m", "ruff", "check", *written),
        ("-m", "ruff", "format", "--check", *written),
        ("-m", "mypy", "app/jobs/greetings"),
        ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"),
    ):
        outcome = run(copy, *words)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_tests_that_are_there_know_it_by_themselves(copy: Path) -> None:
    """Those that list all jobs."""
    outcome = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/api_1_0/test_tasks.py")

    assert outcome.returncode == 0, outcome.stdout
