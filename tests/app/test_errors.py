"""An exception inside a view, and errors that werkzeug raises by itself."""

from __future__ import annotations

import io
import logging
from typing import NoReturn

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidHeaderName
from sqlalchemy import text

from app.api_keys import Scope, create_key
from app.extensions import db
from tests.installation import API, assert_problem, bearer

SECRET = "hunter2"


@pytest.fixture(params=["app", "app_outside_testing"])
def any_app(request: pytest.FixtureRequest) -> Flask:
    """Error handling differs with TESTING."""
    app: Flask = request.getfixturevalue(request.param)
    return app


@pytest.fixture
def client(any_app: Flask) -> FlaskClient:
    def fail() -> str:
        raise RuntimeError(f"the database says {SECRET}")

    def refuse(status: int) -> str:
        abort(status, f"because of {SECRET}")

    for prefix in ("", API):
        any_app.add_url_rule(f"{prefix}/fails", endpoint=f"fails{prefix}", view_func=fail, methods=["GET", "POST"])
    any_app.add_url_rule("/refuses/<int:status>", endpoint="refuses", view_func=refuse)
    return any_app.test_client()


@pytest.mark.parametrize("prefix", ["", API])
def test_an_exception_in_a_view_tells_the_client_nothing_and_the_log_all(
    prefix: str, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post(f"{prefix}/fails?token=letmein", json={"password": "opensesame"})

    assert_problem(answer, 500)
    assert all(word not in answer.text for word in (SECRET, "letmein", "opensesame", "RuntimeError", "Traceback"))
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])
    assert "Traceback" in caplog.text
    assert f"{prefix}/fails" in record.getMessage()
    assert "letmein" not in caplog.text
    assert "opensesame" not in caplog.text


def test_an_exception_in_a_resource_is_answered_the_same_way(
    any_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """Through Flask-RESTful, whose own handling would echo the input outside of TESTING."""
    with any_app.app_context():
        headers = bearer(create_key(db.session(), "ann", {Scope.SUBMIT}))
        db.session.commit()
        db.session.execute(text("DROP TABLE uploaded_files"))
        db.session.commit()

    answer = any_app.test_client().post(f"{API}/files?name={SECRET}", data=SECRET.encode(), headers=headers)

    assert_problem(answer, 500)
    assert all(word not in answer.text for word in (SECRET, "uploaded_files", "OperationalError"))
    assert "no such table: uploaded_files" in caplog.text
    files = any_app.config["TASKGATE"].data_dir / "files"
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_a_path_cannot_forge_a_line_of_the_log(any_app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    def fail(word: str) -> str:
        raise RuntimeError

    any_app.add_url_rule("/fails/<word>", endpoint="fails", view_func=fail)

    any_app.test_client().get("/fails/a%0AERROR%20all%20is%20lost")

    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 418, 422, 428, 429, 500]
)
def test_errors_of_werkzeug_become_problems_without_their_text(status: int, client: FlaskClient) -> None:
    answer = client.get(f"/refuses/{status}")

    assert_problem(answer, status)
    assert SECRET not in answer.text


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "image/png", "application/json;q=0", ""])
def test_errors_are_problems_whatever_the_client_accepts(accept: str, any_app: Flask) -> None:
    for path in ("/nothing", f"{API}/nothing", f"{API}/tasks"):
        answer = any_app.test_client().get(path, headers={"Accept": accept})
        assert_problem(answer, 401 if path.endswith("tasks") else 404)


@pytest.mark.parametrize("path", [f"{API}//tasks", f"{API}/results//x?access_token=tgj_x"])
def test_slashes_too_many_lead_nowhere(path: str, any_app: Flask) -> None:
    assert_problem(any_app.test_client().get(path, headers={"Host": "evil.example"}), 404)


class BrokenBody(io.BytesIO):
    """A body in chunks as gunicorn gives it, whose trailer cannot be read."""

    def fail(self, *_: object) -> NoReturn:
        raise InvalidHeaderName("TRAILER")

    read = readinto = readall = fail


def test_a_body_that_gunicorn_cannot_read_is_the_clients_error(any_app: Flask) -> None:
    with any_app.app_context():
        key = create_key(db.session(), "ann", [Scope.SUBMIT])
        db.session.commit()

    answer = any_app.test_client().post(
        f"{API}/tasks/maintenance.adds/jobs",
        input_stream=BrokenBody(b"{}"),
        environ_overrides={"wsgi.input_terminated": True},
        headers={**bearer(key), "Content-Type": "application/json", "Transfer-Encoding": "chunked"},
    )

    assert_problem(answer, 400)
