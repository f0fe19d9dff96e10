"""``jobs submit|watch|list|cancel|retry|result|logs|dead``: what they print, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from libs.job_commands import ExitCode, LocalServer, make_jobs
from tests.conftest import ROOT
from tests.job_client.conftest import Server
from tests.job_commands.conftest import Run

TASK_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UNKNOWN = "00000000-0000-0000-0000-000000000000"
PARTS = ROOT / "samples" / "parts.csv"
REFRESH = "maintenance.refresh_onboard_table"


def submitted(run: Run, *words: str) -> str:
    done = run("submit", *(words or ("maintenance.adds", "a=1", "b=2")))
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def failed(run: Run, tmp_path: Path) -> str:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("neither,of\nthe,columns\n")
    return submitted(run, REFRESH, f"file_id=@{wrong}")


def test_a_submission_prints_the_id_and_the_result_of_that_can_be_had(run: Run) -> None:
    done = run("submit", "maintenance.adds", "a=1", "b=2")

    assert (done.exit_code, done.stderr) == (0, "")
    assert re.fullmatch(TASK_ID + "\n", done.stdout)
    result = run("result", done.stdout.strip(), "--wait", "--timeout", "60")
    assert (result.exit_code, result.stdout) == (0, "3\n")


def test_json_is_one_document_and_holds_no_token(run: Run) -> None:
    done = run("submit", "maintenance.adds", "a=1", "b=2", "--json")

    assert set(json.loads(done.stdout)) == {
        "task_id", "task", "state", "idempotency_key", "replayed", "already_running",
    }  # fmt: skip
    job = run("submit", "maintenance.adds", "a=1", "b=2", "--wait", "--json")
    assert json.loads(job.stdout)["result"] == 3
    assert (job.exit_code, job.stderr, job.stdout.count("\n")) == (0, "", 1)


def test_params_come_from_a_file_and_words_go_over_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"a": 40, "b": 1}')

    done = run("submit", "maintenance.adds", "b=2", "--params", str(tmp_path / "params.json"), "--wait")

    assert (done.exit_code, done.stdout) == (0, "42\n")


def test_a_file_is_uploaded_and_what_the_job_leaves_comes_down(run: Run, tmp_path: Path) -> None:
    task_id = submitted(run, REFRESH, f"file_id=@{PARTS}")

    watched = run("watch", task_id, "--from-start")

    assert watched.exit_code == 0
    assert json.loads(watched.stdout)["read"] == 1503
    assert "SUCCESS" in watched.stderr
    had = run("result", task_id, "--files", str(tmp_path), "--json")
    assert json.loads(had.stdout)["state"] == "SUCCESS"
    assert (tmp_path / "rejected.csv").read_text().count("\n") == 4
    events = [json.loads(line) for line in run("watch", task_id, "--from-start", "--json").stdout.splitlines()]
    assert {"state", "progress"} <= {event["event"] for event in events}
    assert events[-1]["job"]["result"]["read"] == 1503
    assert run("logs", task_id, "--follow", "--json").exit_code == 0


def test_a_failed_job_is_exit_code_1_and_a_dead_letter(run: Run, tmp_path: Path) -> None:
    task_id = failed(run, tmp_path)

    for words in [
        ("watch", task_id),
        ("watch", task_id, "--json"),
        ("result", task_id),
        ("result", task_id, "--json"),
    ]:
        assert run(*words).exit_code == ExitCode.FAILED
    told = run("result", task_id, "--wait")
    assert told.stdout == ""
    assert told.stderr.startswith("Failed: ")
    listed = run("dead", "list", "--since", "1h").stdout
    assert f"{task_id}  " in listed
    (fields,) = [
        one for one in map(json.loads, run("dead", "list", "--json").stdout.splitlines()) if one["task_id"] == task_id
    ]
    assert fields["task"] == REFRESH
    retried = run("dead", "retry", task_id)
    assert (retried.exit_code, retried.stdout.split()[0]) == (0, task_id)
    again = retried.stdout.split()[1]
    assert run("watch", again).exit_code == ExitCode.FAILED
    assert run("dead", "drop", again).exit_code == 0
    assert run("dead", "drop", again).exit_code == ExitCode.FAILED
    assert json.loads(run("dead", "drop", again, "--json").stdout)["dropped"] is False


def test_a_waiting_job_is_not_ended_is_cancelled_and_run_again(run: Run) -> None:
    task_id = submitted(run, "maintenance.adds", "a=20", "b=1", "--delay", "3600")

    for words in [(), ("--json",), ("--wait", "--timeout", "0.2")]:
        assert run("result", task_id, *words).exit_code == ExitCode.UNFINISHED
    cancelled = run("cancel", task_id)
    assert (cancelled.exit_code, "REVOKED" in cancelled.stdout) == (0, True)
    assert run("result", task_id).exit_code == ExitCode.CANCELLED
    assert run("watch", task_id).exit_code == ExitCode.CANCELLED
    assert run("cancel", task_id).exit_code == ExitCode.REFUSED
    assert run("cancel", task_id, UNKNOWN).exit_code == ExitCode.FAILED
    again = run("retry", task_id, "--wait")
    assert (again.exit_code, again.stdout) == (0, "21\n")
    assert re.fullmatch(TASK_ID + "\n", run("retry", task_id).stdout)


def test_jobs_are_listed_and_a_key_is_one_job(run: Run) -> None:
    key = str(uuid4())
    ids = {submitted(run, "maintenance.adds", "a=1", "b=1", "--idempotency-key", key) for _ in range(2)}

    (task_id,) = ids
    assert task_id in run("list", "--task", "maintenance.adds", "--since", "10m").stdout
    lines = run("list", "--json", "--limit", "2", "--state", "SUCCESS", "--state", "PENDING").stdout.splitlines()
    assert len(lines) <= 2
    assert all(json.loads(line)["task_id"] for line in lines)
    assert run("list", "--task", "no.such").stdout == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("submit", "maintenance.adds", "a=x", "b=1"), ExitCode.USAGE),
        (("submit", "maintenance.adds", "a"), ExitCode.USAGE),
        (("submit", "maintenance.adds", "a=1", "a=2"), ExitCode.USAGE),
        (("submit", "maintenance.adds", "a=@/no/such/file", "b=1"), ExitCode.USAGE),
        (("submit", "maintenance.adds", "--at", "tomorrow"), ExitCode.USAGE),
        (("submit", "maintenance.adds", "--params", "-"), ExitCode.USAGE),
        (("dead", "retry"), ExitCode.USAGE),
        (("dead", "drop", UNKNOWN, "--task", "x"), ExitCode.USAGE),
        (("nonsense",), ExitCode.USAGE),
        (("submit", "no.such.task"), ExitCode.REFUSED),
        (("watch", UNKNOWN), ExitCode.REFUSED),
        (("logs", UNKNOWN), ExitCode.REFUSED),
    ],
)
def test_what_cannot_be_done_says_why_on_standard_error(run: Run, words: tuple[str, ...], code: ExitCode) -> None:
    done = run(*words)

    assert (done.exit_code, done.stdout) == (code, "")
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_server_a_wrong_key_and_no_key(run: Run, server: Server) -> None:
    away = run("--patience", "0.1", "submit", "maintenance.adds", "a=1", "b=2", TASKGATE_URL="http://127.0.0.1:9")
    assert (away.exit_code, away.stdout) == (ExitCode.UNREACHABLE, "")
    wrong = run("list", TASKGATE_KEY="tg_000000000000_geheim")
    assert wrong.exit_code == ExitCode.REFUSED
    assert "geheim" not in wrong.stderr
    none = run("list", TASKGATE_KEY="")
    assert none.exit_code == ExitCode.USAGE
    assert "TASKGATE_KEY" in none.stderr


def test_the_development_key_is_for_the_server_here_alone(server: Server, tmp_path: Path) -> None:
    key_file = tmp_path / "dev.key"
    key_file.write_text(f"{server.key}\n")
    jobs = make_jobs(lambda: LocalServer(server.url, key_file), dead="-", quarantine="app.commands:quarantine")
    nothing = {"TASKGATE_URL": "", "TASKGATE_KEY": ""}

    assert CliRunner().invoke(jobs, ["list"], env=nothing).exit_code == 0
    elsewhere = CliRunner().invoke(jobs, ["--url", "http://127.0.0.1:9", "list"], env=nothing)
    assert elsewhere.exit_code == ExitCode.USAGE
    named = CliRunner().invoke(jobs, ["--url", server.url, "--key-file", str(key_file), "list"], env=nothing)
    assert named.exit_code == 0
    key_file.unlink()
    assert CliRunner().invoke(jobs, ["list"], env=nothing).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8"), ("::", "http://[::1]:8"), ("db.lan", "http://db.lan:8")],
)
def test_where_the_server_here_is_reached(host: str, url: str) -> None:
    assert LocalServer.listening(host, 8, Path("key")).url == url
