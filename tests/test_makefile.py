"""What ``make run`` installs first, on a machine with a C compiler and on one without; pip is stood in for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

STAMP = ".venv/.runtime"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the rule looks at, and a Python that cannot install what the file ``unavailable`` names."""
    for name in ("Makefile", "constraints.txt", *(path.name for path in ROOT.glob("requirements*.txt"))):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\necho "$@" >>asked\nif echo "$@" | grep -qFf unavailable; then echo broken; exit 1; fi\n'
    )
    python.chmod(0o755)
    (tmp_path / "unavailable").touch()
    return tmp_path


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    # Not as a part of the make that runs the tests, which says of each one below it where it is.
    of_make = ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    command = ["make", STAMP]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def asked(folder: Path) -> list[str]:
    return [line.split()[-1] for line in (folder / "asked").read_text().splitlines() if " pip install " in line]


def test_the_fast_parser_is_installed_beside_the_rest(folder: Path) -> None:
    outcome = make(folder)

    assert outcome.returncode == 0
    assert asked(folder) == ["requirements.txt", "requirements-fast.txt"]
    assert "compiler" not in outcome.stdout + outcome.stderr


def test_without_a_compiler_it_goes_on_and_says_so_in_one_line(folder: Path) -> None:
    (folder / "unavailable").write_text("requirements-fast.txt\n")

    outcome = make(folder)

    assert outcome.returncode == 0
    assert (folder / STAMP).exists()
    [line] = [line for line in outcome.stdout.splitlines() if "pip install" not in line]
    assert line.startswith("No C compiler that builds gunicorn's fast parser (see .venv/fast.log)")
    assert "broken" in (folder / ".venv" / "fast.log").read_text()


def test_without_anything_else_it_stops(folder: Path) -> None:
    (folder / "unavailable").write_text("requirements.txt\n")

    assert make(folder).returncode != 0
    assert not (folder / STAMP).exists()


def test_nothing_but_the_fast_parser_needs_a_compiler() -> None:
    """By name: requirements.txt is without gunicorn's extra, which brings it along."""
    assert "gunicorn" in (ROOT / "requirements.txt").read_text().splitlines()
    assert "gunicorn[fast]" in (ROOT / "requirements-fast.txt").read_text().splitlines()
