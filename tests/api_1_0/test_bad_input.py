"""Whatever a client sends: a status, a sentence that says what to do, and nothing left behind."""

from __future__ import annotations

import gc
import io
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

from tests.installation import API, Installation, an_installation, assert_problem

ADDS = f"{API}/tasks/maintenance.adds/jobs"
REFRESH = f"{API}/tasks/maintenance.refresh_onboard_table/jobs"
MATCH = f"{API}/tasks/maintenance.match_self_table/jobs"
MAX_UPLOAD = 4096


@pytest.fixture(scope="module", params=[True, False], ids=["TESTING", "production"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Flask-RESTful handles errors in another way with TESTING off, so each case runs both ways."""
    folder = tmp_path_factory.mktemp("api")
    with an_installation(folder, testing=request.param, MAX_UPLOAD=str(MAX_UPLOAD)) as installation:
        yield installation


@pytest.fixture(scope="module")
def bobs_file(installation: Installation, bob: dict[str, str]) -> str:
    answer = installation.client.post(f"{API}/files?name=b.csv", data=b"code,name\n1,x\n", headers=bob)
    assert answer.status_code == 201
    file_id: str = answer.json["file_id"]
    return file_id


@pytest.fixture
def client(installation: Installation, ann: dict[str, str], bobs_file: str) -> Iterator[FlaskClient]:
    """Checks that the test left nothing in Redis, in the database and in the file store."""
    before = installation.what_is_kept()
    yield installation.client
    assert installation.what_is_kept() == before


JSON_BODIES: dict[str, tuple[bytes, int, tuple[str, ...]]] = {
    "unknown field": (b'{"a": 1, "b": 2, "c": 3}', 422, ("c",)),
    "missing field": (b'{"a": 1}', 422, ("b",)),
    "a word for a number": (b'{"a": "x", "b": 2}', 422, ("a",)),
    "a number in quotes": (b'{"a": "1", "b": 2}', 422, ("a",)),
    "a truth for a number": (b'{"a": true, "b": 2}', 422, ("a",)),
    "a fraction": (b'{"a": 1.5, "b": 2}', 422, ("a",)),
    "null": (b'{"a": null, "b": 2}', 422, ("a",)),
    "a list for a number": (b'{"a": [1], "b": 2}', 422, ("a",)),
    "an integer that not every reader holds": (b'{"a": 9007199254740992, "b": 2}', 422, ("a",)),
    "a float of 300 digits": (b'{"a": 1e300, "b": 2}', 422, ("a",)),
    "a NUL character": (b'{"a": "\\u0000", "b": 2}', 422, ("a",)),
    "an array": (b"[1, 2]", 422, ("_schema",)),
    "a bare number": (b"1", 422, ("_schema",)),
    "a bare null": (b"null", 422, ("_schema",)),
    "malformed": (b'{"a": 1, ', 400, ()),
    "two objects": (b'{"a": 1, "b": 2}{}', 400, ()),
    "NaN": (b'{"a": NaN, "b": 2}', 400, ()),
    "Infinity": (b'{"a": -Infinity, "b": 2}', 400, ()),
    "a number beyond every float": (b'{"a": 1e999, "b": 2}', 400, ()),
    "an integer of 5,000 digits": (b'{"a": ' + b"9" * 5000 + b', "b": 2}', 400, ()),
    "arrays nested 100,000 deep": (b"[" * 100_000, 400, ()),
    "closed arrays nested 50,000 deep": (b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, ()),
    "objects nested 50,000 deep": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, ()),
    "empty": (b"", 400, ()),
    "blank": (b" \n\t ", 400, ()),
    "not UTF-8": (b'{"a": 1, "b": 2, "\xff": 3}', 400, ()),
    "UTF-16": ('{"a": 1, "b": 2}'.encode("utf-16"), 400, ()),
    "UTF-32": ('{"a": 1, "b": 2}'.encode("utf-32"), 400, ()),
    "half a surrogate pair as a value": (b'{"a": "\\ud800", "b": 2}', 400, ()),
    "half a surrogate pair as a name": (b'{"a": 1, "b": 2, "\\udfff": 3}', 400, ()),
    "a name twice": (b'{"a": 1, "b": 2, "a": 3}', 400, ()),
    "a name twice further down": (b'{"a": {"x": 1, "x": 1}, "b": 2}', 400, ()),
    "over a megabyte": (b'{"a": 1, "b": 2, "c": "' + b"x" * 1024**2 + b'"}', 413, ()),
}


@pytest.mark.parametrize("name", JSON_BODIES)
def test_a_body_that_is_not_the_tasks_params(name: str, client: FlaskClient, ann: dict[str, str]) -> None:
    body, status, fields = JSON_BODIES[name]

    answer = client.post(ADDS, data=body, content_type="application/json", headers=ann)

    assert_problem(answer, status, *fields)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "not a type"]
)
def test_a_body_of_another_media_type(content_type: str | None, client: FlaskClient, ann: dict[str, str]) -> None:
    answer = client.post(ADDS, data=b'{"a": 1, "b": 2}', content_type=content_type, headers=ann)

    assert_problem(answer, 415)


@pytest.mark.parametrize(
    "month", ["2026", "202613", "202600", "000001", "20261 ", "202611\n", " 202611", "٢٠٢٦١١", 202611, ["202611"]]
)
def test_a_month_that_is_none(month: Any, client: FlaskClient, ann: dict[str, str]) -> None:
    answer = client.post(MATCH, json={"month": month}, headers=ann)

    assert_problem(answer, 422, "month")


MADE_UP = "4f6c1c3e-98c5-4d6c-9d0c-111111111111"
FILE_IDS = [MADE_UP, "../../etc/passwd", "x" * 300, "", "\x00", "{}", 1, None, [], {"file_id": MADE_UP}]


@pytest.mark.parametrize("file_id", FILE_IDS, ids=repr)
def test_a_file_id_that_names_no_upload(file_id: Any, client: FlaskClient, ann: dict[str, str]) -> None:
    answer = client.post(REFRESH, json={"file_id": file_id}, headers=ann)

    assert_problem(answer, 422, "file_id")


def test_no_file_id(client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.post(REFRESH, json={}, headers=ann), 422, "file_id")


def test_another_owners_file_is_as_unknown_as_a_made_up_one(
    client: FlaskClient, ann: dict[str, str], bobs_file: str
) -> None:
    theirs = client.post(REFRESH, json={"file_id": bobs_file}, headers=ann)
    made_up = client.post(REFRESH, json={"file_id": str(uuid4())}, headers=ann)

    assert_problem(theirs, 422, "file_id")
    assert theirs.json["errors"] == made_up.json["errors"]


SEGMENTS = {
    "300 characters": "x" * 300,
    "NUL": "a%00b",
    "a slash": "a%2Fb",
    "a way up": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "a line end": "a%0d%0aSet-Cookie:%20x=1",
    "an escape sequence": "%1b%5b31m",
    "not UTF-8": "%ff%fe",
    "a surrogate": "%ED%A0%80",
    "a space": "%20",
    "a glob": "*",
    "another script": "任务",
}


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks/{}"),
        ("POST", "/tasks/{}/jobs"),
        ("GET", "/results/{}"),
        ("GET", "/results/{}/files/rejected.csv"),
        ("GET", "/results/{id}/files/{}"),
        ("DELETE", "/jobs/{}"),
    ],
)
def test_a_path_that_names_nothing(
    method: str, path: str, name: str, client: FlaskClient, ann: dict[str, str], installation: Installation
) -> None:
    address = API + path.replace("{id}", str(uuid4())).replace("{}", SEGMENTS[name])
    body = {"a": 1, "b": 2} if method == "POST" else None

    answer = client.open(address, method=method, json=body, headers=ann)

    assert_problem(answer, 404)
    assert "Set-Cookie" not in answer.headers


def test_an_unknown_task_is_a_404_whatever_the_body_is(client: FlaskClient, ann: dict[str, str]) -> None:
    for body in (b"", b"{", b'{"a": 1}', b"\xff"):
        assert_problem(client.post(f"{API}/tasks/no.such/jobs", data=body, headers=ann), 404)


def test_a_celery_task_without_a_schema_cannot_be_submitted(client: FlaskClient, ann: dict[str, str]) -> None:
    assert "celery.backend_cleanup" in client.application.extensions["celery"].tasks
    assert_problem(client.post(f"{API}/tasks/celery.backend_cleanup/jobs", json={}, headers=ann), 404)


@pytest.mark.parametrize("path", ["/nothing", f"{API}/nothing", f"{API}/tasks/maintenance.adds/x", API, "/api/2.0"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "TRACE", "BREW"])
def test_an_unknown_address(method: str, path: str, client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.open(path, method=method, headers=ann), 404)


def test_a_method_that_an_address_does_not_take(client: FlaskClient, ann: dict[str, str]) -> None:
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith(API)]
    assert len(rules) == 34
    for rule in rules:
        address = re.sub("<(?!task>)[a-z_]+>", "x", rule.rule.replace("<task>", "maintenance.adds"))
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - (rule.methods or set()):
            answer = client.open(address, method=method, headers=ann)
            assert_problem(answer, 405)
            assert set(answer.headers["Allow"].split(", ")) == rule.methods


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks"),
        ("GET", "/tasks/maintenance.adds"),
        ("POST", "/tasks/maintenance.adds/jobs"),
        ("GET", "/batches"),
        ("POST", "/batches"),
        ("GET", "/batches/x"),
        ("DELETE", "/batches/x"),
        ("POST", "/batches/x/cancel"),
        ("GET", "/jobs"),
        ("DELETE", "/jobs/x"),
        ("GET", "/results/x"),
        ("GET", "/results/x/files/y"),
        ("GET", "/files"),
        ("GET", "/results/x/events"),
        ("GET", "/jobs/x/logs"),
        ("POST", "/files"),
        ("GET", "/schedules"),
        ("POST", "/schedules"),
        ("GET", "/schedules/x"),
        ("PATCH", "/schedules/x"),
        ("DELETE", "/schedules/x"),
        ("POST", "/schedules/x/run"),
        ("GET", "/files/x"),
        ("DELETE", "/files/x"),
        ("GET", "/files/x/content"),
    ],
)
def test_an_unknown_query_argument(method: str, path: str, client: FlaskClient, ann: dict[str, str]) -> None:
    body = {"a": 1, "b": 2} if method == "POST" else None

    answer = client.open(f"{API}{path}?colour=red", method=method, json=body, headers=ann)

    assert_problem(answer, 422, "colour")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *[("limit", text) for text in ("0", "101", "-1", "1.5", "ten", "", "9" * 5000)],
        *[("state", text) for text in ("", "success", "DONE", "%00")],
        *[("since", text) for text in ("", "yesterday", "2026-11-23T00:00:00", "2026-02-30T00:00:00Z", "0")],
        *[("task", text) for text in ("", "x" * 256)],
        *[("cursor", text) for text in ("", "x", "%00", "%ff", "é", "bm8gbnVtYmVy", "x" * 513)],
        *[("cursor", text) for text in ("bmFuIHg=", "MWU5OTkgeA==", "LTEgeA==", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5IHg=")],
    ],
)
def test_a_filter_that_is_none(field: str, text: str, client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.get(f"{API}/jobs?{field}={text}", headers=ann), 422, field)


def test_another_owners_job_is_as_unknown_as_a_made_up_one(
    installation: Installation, ann: dict[str, str], bob: dict[str, str]
) -> None:
    theirs, made_up = installation.accept("bob"), str(uuid4())
    client, before = installation.client, installation.what_is_kept()
    assert client.get(f"{API}/results/{theirs}", headers=bob).status_code == 200

    for method, path in (("GET", "/results/{}"), ("GET", "/results/{}/files/x"), ("DELETE", "/jobs/{}")):
        answers = [
            client.open(API + path.format(task_id), method=method, headers=ann) for task_id in (theirs, made_up)
        ]
        for answer in answers:
            assert_problem(answer, 404)
        assert answers[0].json["detail"] == answers[1].json["detail"]
    assert installation.what_is_kept() == before


def part(*files: tuple[str, bytes, str], **fields: str) -> dict[str, Any]:
    storages = [(field, FileStorage(io.BytesIO(data), filename=name)) for field, data, name in files]
    boundary, body = encode_multipart(MultiDict([*storages, *fields.items()]))
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


UPLOADS: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "a form without a file": (part(note="x"), 422, ("note",)),
    "an empty form": (part(), 422, ("file",)),
    "the file in another field": (part(("upload", b"x", "a.csv")), 422, ("upload",)),
    "two files": (part(("file", b"x", "a.csv"), ("file", b"y", "b.csv")), 422, ("file",)),
    "a second file": (part(("file", b"x", "a.csv"), ("more", b"y", "b.csv")), 422, ("more",)),
    "a field beside the file": (part(("file", b"x", "a.csv"), note="x"), 422, ("note",)),
    "the file as a text field": (part(file="x"), 422, ("file",)),
    "an empty file": (part(("file", b"", "a.csv")), 400, ()),
    "a form without its boundary": ({"data": b"x", "content_type": "multipart/form-data"}, 422, ("file",)),
    "2,000 fields": (part(**{f"f{number}": "x" for number in range(2000)}), 413, ()),
    "a field of a megabyte": (part(note="x" * 1024**2), 413, ()),
    "an empty body": ({"data": b"", "content_type": "text/csv"}, 400, ()),
    "a little too large, as a body": ({"data": b"x" * (MAX_UPLOAD + 1), "content_type": "text/csv"}, 413, ()),
    "a little too large, as a form": (part(("file", b"x" * (MAX_UPLOAD + 1), "a.csv")), 413, ()),
    "much too large, as a body": ({"data": b"x" * 500_000, "content_type": "text/csv"}, 413, ()),
    "much too large, as a form": (part(("file", b"x" * 500_000, "a.csv")), 413, ()),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_that_is_none(name: str, client: FlaskClient, ann: dict[str, str]) -> None:
    sent, status, fields = UPLOADS[name]

    answer = client.post(f"{API}/files", headers=ann, **sent)

    assert_problem(answer, status, *fields)


# werkzeug drops the part it was reading without closing it.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
def test_a_form_that_breaks_off(client: FlaskClient, ann: dict[str, str]) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf a fi'

    answer = client.post(f"{API}/files", data=body, content_type="multipart/form-data; boundary=b", headers=ann)

    assert_problem(answer, 422, "file")
    gc.collect()


@pytest.mark.parametrize("size", [MAX_UPLOAD + 1, 500_000])
def test_an_upload_of_unknown_length_that_is_too_large(size: int, client: FlaskClient, ann: dict[str, str]) -> None:
    # As gunicorn hands a chunked request over.
    answer = client.post(
        f"{API}/files",
        input_stream=io.BytesIO(b"x" * size),
        environ_overrides={"wsgi.input_terminated": True},
        headers={**ann, "Transfer-Encoding": "chunked"},
    )

    assert_problem(answer, 413)


def test_an_upload_that_ends_before_its_content_length(client: FlaskClient, ann: dict[str, str]) -> None:
    # As gunicorn hands over the request of a client that has gone away.
    environ = {"CONTENT_LENGTH": "100", "wsgi.input_terminated": True}

    answer = client.post(f"{API}/files", input_stream=io.BytesIO(b"half"), environ_overrides=environ, headers=ann)

    assert_problem(answer, 400)


def test_a_name_of_an_upload_that_is_too_long_to_keep(client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.post(f"{API}/files?name={'x' * 256}", data=b"x", headers=ann), 422, "name")


def test_errors_do_not_repeat_what_was_sent(client: FlaskClient, ann: dict[str, str]) -> None:
    secret = "hunter2"
    answers = [
        client.post(ADDS, data=json.dumps({"a": secret, "b": 2}), content_type="application/json", headers=ann),
        client.post(ADDS, data=f'{{"a": {secret}}}', content_type="application/json", headers=ann),
        client.get(f"{API}/results/{secret}", headers=ann),
        client.get(f"/{secret}", headers=ann),
        client.get(f"{API}/jobs?cursor={secret}", headers=ann),
        client.get(f"{API}/tasks", headers={"Authorization": f"Bearer {secret}"}),
    ]

    for answer in answers:
        assert answer.status_code >= 400
        assert secret not in answer.text
