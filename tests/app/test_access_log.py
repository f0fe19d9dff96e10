"""What the access log says of a request, and when."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from app.access_log import LOGGER
from libs.structured_logs import hide_secrets, log_formatter
from tests.installation import API


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(log_formatter("json", dict))
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.texts[-1])
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, level = Lines(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    yield handler
    LOGGER.propagate = True
    LOGGER.setLevel(level)
    LOGGER.removeHandler(handler)


def test_a_request_is_one_line_with_who_what_and_how_long(
    client: FlaskClient, auth: dict[str, str], lines: Lines
) -> None:
    answer = client.post(
        f"{API}/tasks/maintenance.adds/jobs?delay=1",
        json={"a": 1, "b": 2},
        headers={**auth, "X-Request-ID": "mine"},
        buffered=True,
    )

    assert len(lines.texts) == 1
    line = lines.last
    assert 0 < line.pop("duration_ms") < 60_000
    assert line.pop("time").endswith("Z")
    assert line == {
        "message": "request",
        "level": "info",
        "logger": "taskgate.access",
        "method": "POST",
        "path": f"{API}/tasks/maintenance.adds/jobs",
        "route": f"{API}/tasks/<task>/jobs",
        "status": 202,
        "bytes": len(answer.data),
        "request_id": "mine",
        "principal": "ann",
        "key_id": auth["Authorization"].split("_")[1],
        "task_id": answer.json["task_id"],
        "address": "127.0.0.1",
    }


def test_a_request_by_a_jobs_token_names_its_owner_and_the_job(
    client: FlaskClient, auth: dict[str, str], lines: Lines
) -> None:
    job = client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=auth).json

    client.get(f"{API}/results/{job['task_id']}?access_token={job['access_token']}", buffered=True)

    assert (lines.last["principal"], lines.last["key_id"], lines.last["task_id"]) == ("ann", None, job["task_id"])
    assert lines.last["path"] == f"{API}/results/{job['task_id']}"


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/nowhere", 404, None),
        (f"{API}/tasks", 401, f"{API}/tasks"),
        ("/healthz", 200, "/healthz"),
        ("/", 200, "/"),
    ],
)
def test_requests_of_nobody(path: str, status: int, route: str | None, client: FlaskClient, lines: Lines) -> None:
    client.get(path, buffered=True)

    line = lines.last
    assert (line["status"], line["route"], line["principal"], line["key_id"]) == (status, route, None, None)
    assert line["request_id"]


def test_a_failure_is_logged_as_what_was_answered(app_outside_testing: Flask, lines: Lines) -> None:
    def fail() -> str:
        raise RuntimeError("of the test")

    app_outside_testing.add_url_rule("/failing", view_func=fail)
    app_outside_testing.test_client().get("/failing", buffered=True)

    assert (lines.last["status"], lines.last["route"]) == (500, "/failing")


def test_a_streamed_answer_is_logged_when_it_has_ended(app: Flask, lines: Lines) -> None:
    def stream() -> Response:
        return Response(iter([b"one", b"two", b"three"]))

    app.add_url_rule("/stream", view_func=stream)
    with app.test_client().get("/stream", buffered=False) as answer:
        chunks = answer.iter_encoded()
        assert next(chunks) == b"one"
        assert lines.texts == []
        rest = list(chunks)

    assert rest == [b"two", b"three"]
    assert lines.last["bytes"] == 11


def test_so_is_one_whose_reader_goes_away(app: Flask, lines: Lines) -> None:
    def stream() -> Response:
        return Response(iter([b"one"] * 1000))

    app.add_url_rule("/stream", view_func=stream)
    with app.test_client().get("/stream", buffered=False) as answer:
        next(answer.iter_encoded())

    assert len(lines.texts) == 1
    assert lines.last["bytes"] == 3


def test_a_file_is_logged_once_it_is_sent(client: FlaskClient, lines: Lines) -> None:
    with client.get("/docs/swagger-ui.css") as answer:
        size = len(answer.data)

    assert len(lines.texts) == 1
    assert (lines.last["bytes"], lines.last["status"]) == (size, 200)


def test_paths_are_bounded_and_have_no_line_ends_and_no_secrets(client: FlaskClient, lines: Lines) -> None:
    key = "tg_0123456789ab_" + "x" * 43
    client.get(f"/nowhere/{key}/%0AINFO%20fake/é", buffered=True)
    client.get("/" + "x" * 5_000, buffered=True)

    assert len(lines.texts) == 2
    assert all("\n" not in text for text in lines.texts)
    first = json.loads(lines.texts[0])
    assert first["path"] == "/nowhere/tg_[hidden]/\nINFO fake/é"
    assert len(lines.last["path"]) == 2_000


def test_without_somebody_who_listens_nothing_is_done(app: Flask) -> None:
    app.add_url_rule("/facts", view_func=lambda: {"facts": "taskgate.facts" in __import__("flask").request.environ})

    assert app.test_client().get("/facts").json == {"facts": False}


def test_what_is_hidden() -> None:
    token = "tgj_eyJhIjoxfQ.aBc-_d.signature"

    assert hide_secrets(f"GET /x?access_token={token}&y={token}") == "GET /x?access_token=tgj_[hidden]&y=tgj_[hidden]"
    assert hide_secrets("tasks tg_ and target_name") == "tasks tg_ and target_name"


@pytest.mark.parametrize("style", ["json", "text"])
def test_every_librarys_lines_are_formatted_without_secrets(style: str) -> None:
    formatter = log_formatter(style, lambda: {"request_id": "r-1"})
    try:
        raise ValueError("tg_0123456789ab_" + "x" * 43)
    except ValueError as error:
        record = logging.makeLogRecord(
            {"name": "a.library", "levelno": 40, "levelname": "ERROR", "msg": "It %s", "args": ("failed",),
             "exc_info": (type(error), error, error.__traceback__)}
        )  # fmt: skip

    text = formatter.format(record)

    assert "x" * 43 not in text
    assert "[hidden]" in text
    if style == "json":
        line = json.loads(text)
        assert (line["message"], line["logger"], line["level"], line["request_id"]) == (
            "It failed", "a.library", "error", "r-1",
        )  # fmt: skip
        assert "Traceback" in line["exception"]
        assert Path(__file__).name in line["exception"]
    else:
        assert "It failed" in text
        assert "request_id=r-1" in text


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_traceback_has_no_local_variables(style: str) -> None:
    def fail(password: str) -> None:
        raise ValueError(f"{len(password)} characters")

    try:
        fail("open" + "sesame")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})

    text = log_formatter(style, dict).format(record)

    assert "ValueError: 10 characters" in text
    assert "opensesame" not in text
