"""``manage.py jobs`` as it is run: what it imports, what shells complete, Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.job_client import JobClient, JobState, Options
from libs.job_commands import ExitCode
from tests.conftest import ROOT, wait_until
from tests.job_client.conftest import Server

MANAGE = [sys.executable, str(ROOT / "manage.py")]


@pytest.fixture
def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "TASKGATE_URL": server.url, "TASKGATE_KEY": server.key}


def test_a_command_over_http_builds_no_application(environment: dict[str, str]) -> None:
    code = (
        "import sys, manage\n"
        "try: manage.cli(['jobs', 'submit', 'maintenance.adds', 'a=1', 'b=2', '--wait', '--json'])\n"
        "except SystemExit as end: print(end.code)\n"
        "print([name for name in ('app', 'config', 'celery', 'sqlalchemy', 'marshmallow') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    job, code, imported = done.stdout.splitlines()
    assert (json.loads(job)["result"], code, imported) == (3, "0", "[]")


def test_ctrl_c_leaves_the_job_and_says_so(server: Server, environment: dict[str, str]) -> None:
    with JobClient(server.url, server.key) as client:
        job = client.submit("maintenance.adds", Options(delay=600), a=1, b=2)
        watching = subprocess.Popen(
            [*MANAGE, "jobs", "watch", job.task_id], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert watching.stderr is not None
        assert watching.stderr.readline() == "PENDING\n"
        watching.send_signal(signal.SIGINT)
        assert watching.communicate(timeout=30)[1] == "Interrupted. The job goes on.\n"
        assert watching.returncode == ExitCode.INTERRUPTED
        assert job.cancel().state is JobState.REVOKED


def completed(environment: dict[str, str], *words: str) -> list[str]:
    asked = {"_MANAGE_PY_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["manage.py", *words])}
    if words[-1:] == ("",):
        asked["COMP_WORDS"] = " ".join(["manage.py", *words[:-1]])
    done = subprocess.run(
        MANAGE, env=environment | asked | {"COMP_CWORD": str(len(words))}, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_shells_complete_commands_tasks_and_params(environment: dict[str, str]) -> None:
    assert completed(environment, "jobs", "su") == ["submit"]
    assert completed(environment, "jobs", "submit", "maintenance.a") == ["maintenance.adds"]
    assert completed(environment, "jobs", "submit", "maintenance.adds", "a=1", "") == ["b="]
    assert completed(environment, "jobs", "list", "--state", "SU") == ["SUCCESS"]
    away = environment | {"TASKGATE_URL": "http://127.0.0.1:9"}
    assert completed(away, "jobs", "submit", "maintenance.a") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script_that_it_takes(shell: str, environment: dict[str, str], tmp_path: Path) -> None:
    asked = environment | {"_MANAGE_PY_COMPLETE": f"{shell}_source"}
    script = subprocess.run(
        MANAGE, env=asked, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert "manage.py" in script
    assert "_MANAGE_PY_COMPLETE" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=30)


def test_a_reader_that_has_enough_is_no_error(environment: dict[str, str]) -> None:
    listing = subprocess.Popen(
        [*MANAGE, "jobs", "list", "--limit", "1000"], env=environment, cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    wait_until(lambda: listing.poll() is not None, what="the end of the listing")
    assert "Traceback" not in listing.stderr.read()
    listing.stderr.close()
