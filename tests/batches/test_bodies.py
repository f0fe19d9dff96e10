"""What a client may send as a batch, and what it is answered, job by job."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.api_1_0.batch_items import BatchItemSchema, ThenSchema
from app.openapi import build_document
from tests.installation import API, Installation, an_installation, assert_problem

BATCHES = f"{API}/batches"
JOB = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}
GOOD = json.dumps(JOB)
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {"MAX_BATCH_BODY": "2000000", "MAX_BODY": "20000"}
    with an_installation(tmp_path_factory.mktemp("batches"), **settings) as installation:
        yield installation


@pytest.fixture(scope="module")
def ann(installation: Installation) -> dict[str, str]:
    return installation.headers("ann")


def send(installation: Installation, headers: dict[str, str], body: Any, kind: str = "application/json") -> Any:
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return installation.client.post(BATCHES, data=data, content_type=kind, headers=headers)


def statuses(answer: Any) -> list[int]:
    assert answer.status_code == 202, answer.json
    return [outcome["status"] for outcome in answer.json["outcomes"]]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(("application/json", [JOB, JOB]), ("application/json", {"jobs": [JOB, JOB]})),
        ("application/json; charset=utf-8", b"\xef\xbb\xbf" + f" [ {GOOD}\n, {GOOD} ] ".encode()),
        *(
            (NDJSON, f"{GOOD}\n{GOOD}\n"),
            (NDJSON, f"\r\n{GOOD}\r\n\n  {GOOD}"),
            ("application/jsonl", f"{GOOD}\n{GOOD}"),
        ),
        (NDJSON, b"\xef\xbb\xbf" + f"{GOOD}\n{GOOD}\n".encode()),
    ],
)
def test_each_form_of_a_batch(installation: Installation, ann: dict[str, str], kind: str, body: Any) -> None:
    answer = send(installation, ann, body, kind)

    assert statuses(answer) == [202, 202]
    batch = answer.json
    assert (batch["total"], batch["accepted"], batch["refused"], batch["then"]) == (2, 2, 0, None)
    assert answer.headers["Location"] == batch["links"]["self"] == f"{BATCHES}/{batch['batch_id']}"
    assert int(answer.headers["Retry-After"]) > 0
    for outcome in batch["outcomes"]:
        assert outcome.keys() == {"status", "task_id", "state"}
        job = installation.client.get(f"{API}/results/{outcome['task_id']}", headers=ann).json
        assert (job["state"], job["batch_id"], job["task"]) == ("PENDING", batch["batch_id"], JOB["task"])


BAD_JOBS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "no object": ("3", 422, ("_schema",)),
    "null": ("null", 422, ("_schema",)),
    "an array": ("[]", 422, ("_schema",)),
    "empty": ("{}", 422, ("task",)),
    "no task": ('{"params": {}}', 422, ("task",)),
    "a task that is a number": ('{"task": 3}', 422, ("task",)),
    "an unknown task": ('{"task": "no.such"}', 404, ()),
    "a task without a schema": ('{"task": "celery.ping"}', 404, ()),
    "params that are no object": ('{"task": "maintenance.adds", "params": []}', 422, ("params",)),
    "no params": ('{"task": "maintenance.adds"}', 422, ("a", "b")),
    "params that do not validate": ('{"task": "maintenance.adds", "params": {"a": "x", "b": 1}}', 422, ("a",)),
    "a file of nobody": (
        f'{{"task": "maintenance.refresh_onboard_table", "params": {{"file_id": "{uuid4()}"}}}}',
        422,
        ("file_id",),
    ),
    "an unknown member": (GOOD.replace("{", '{"x": 1, ', 1), 422, ("x",)),
    "a delay in the past": (GOOD.replace("{", '{"delay": -1, ', 1), 422, ("delay",)),
    "a time without its zone": (GOOD.replace("{", '{"at": "2030-01-01T00:00:00", ', 1), 422, ("at",)),
    "a key that is none": (GOOD.replace("{", '{"idempotency_key": "", ', 1), 422, ("idempotency_key",)),
    "a name twice": (GOOD.replace('"b": 2', '"b": 2, "b": 2'), 400, ()),
    "NaN": (GOOD.replace("2", "NaN"), 400, ()),
    "a number beyond every float": (GOOD.replace("2", "1e999"), 400, ()),
    "an integer of 5,000 digits": (GOOD.replace("2", "9" * 5000), 400, ()),
    "half a surrogate pair": (GOOD.replace("2", '"\\ud800"'), 400, ()),
    "more than a single job may be": (GOOD.replace("2", f'"{"x" * 20_000}"'), 413, ()),
    "ten thousand unknown params": (
        json.dumps({"task": "maintenance.adds", "params": {f"x{number}": 1 for number in range(1_000)}}),
        422,
        ("_schema",),
    ),
}


@pytest.mark.parametrize("form", ["array", "object", "lines"])
@pytest.mark.parametrize("name", BAD_JOBS)
def test_one_bad_job_harms_no_other(installation: Installation, ann: dict[str, str], name: str, form: str) -> None:
    bad, status, fields = BAD_JOBS[name]
    jobs = f"[{GOOD}, {bad}, {GOOD}]"
    body = {"array": jobs, "object": f'{{"jobs": {jobs}}}', "lines": f"{GOOD}\n{bad}\n{GOOD}"}[form]

    answer = send(installation, ann, body, NDJSON if form == "lines" else "application/json")

    assert statuses(answer) == [202, status, 202]
    refused = answer.json["outcomes"][1]
    assert refused["detail"].endswith(".")
    assert set(fields) <= set(refused.get("errors", {}))
    assert len(json.dumps(refused)) < 5_000
    assert installation.client.get(answer.headers["Location"], headers=ann).json["counts"]["PENDING"] == 2


@pytest.mark.parametrize(
    "bad", [b'{"task": ', b"\xff", b"{'task': 1}", b"[" * 50_000, GOOD.encode() + b"}", b"\x00"], ids=repr
)
def test_a_broken_line_is_one_bad_job(installation: Installation, ann: dict[str, str], bad: bytes) -> None:
    answer = send(installation, ann, b"\n".join([GOOD.encode(), bad[:15_000], GOOD.encode()]), NDJSON)

    assert statuses(answer) == [202, 400, 202]
    assert answer.json["outcomes"][1]["detail"].startswith("The line ")


BAD_BODIES: dict[str, tuple[bytes, int, tuple[str, ...]]] = {
    "empty": (b"", 400, ()),
    "no JSON": (b"[", 400, ()),
    "one that breaks off": (f"[{GOOD}, ".encode(), 400, ()),
    "two documents": (f"[{GOOD}] [{GOOD}]".encode(), 400, ()),
    "a comma too many": (f"[{GOOD},]".encode(), 400, ()),
    "no comma": (f"[{GOOD} {GOOD}]".encode(), 400, ()),
    "broken in a job": (f'[{GOOD}, {{"task": }}, {GOOD}]'.encode(), 400, ()),
    "too deep": (b"[" * 100_000, 400, ()),
    "not UTF-8": (b'[{"task": "\xff"}]', 400, ()),
    "UTF-16": (f"[{GOOD}]".encode("utf-16"), 400, ()),
    "jobs twice": (f'{{"jobs": [{GOOD}], "jobs": [{GOOD}]}}'.encode(), 400, ()),
    "half a surrogate pair for a name": (f'{{"\\ud800": 1, "jobs": [{GOOD}]}}'.encode(), 400, ()),
    "half a surrogate pair in then": (f'{{"then": {{"task": "\\ud800"}}, "jobs": [{GOOD}]}}'.encode(), 400, ()),
    "half a surrogate pair for a name in then": (f'{{"then": {{"\\ud800": 1}}, "jobs": [{GOOD}]}}'.encode(), 400, ()),
    "a name that is none": (f"{{3: [{GOOD}]}}".encode(), 400, ()),
    "a word": (b'"jobs"', 422, ("_schema",)),
    "no jobs": (b"[]", 422, ("jobs",)),
    "an empty object": (b"{}", 422, ("jobs",)),
    "jobs that are no array": (b'{"jobs": {}}', 422, ("jobs",)),
    "an unknown member": (f'{{"jobs": [{GOOD}], "also": 1}}'.encode(), 422, ("also",)),
    "then that is no object": (f'{{"jobs": [{GOOD}], "then": 1}}'.encode(), 422, ("then",)),
    "then without a task": (f'{{"then": {{}}, "jobs": [{GOOD}]}}'.encode(), 422, ("then",)),
    "then of an unknown task": (f'{{"jobs": [{GOOD}], "then": {{"task": "no.such"}}}}'.encode(), 422, ("then",)),
    "then that takes no batch": (f'{{"jobs": [{GOOD}], "then": {GOOD}}}'.encode(), 422, ("then",)),
    "10,001 jobs": (b"[" + b"3," * 10_000 + b"3]", 413, ()),
    "too many bytes": (b"[" + b" " * 2_000_000 + b"]", 413, ()),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_no_batch(installation: Installation, ann: dict[str, str], name: str) -> None:
    body, status, fields = BAD_BODIES[name]
    kept = installation.what_is_kept()

    answer = send(installation, ann, body)

    assert_problem(answer, status, *fields)
    assert installation.what_is_kept() == kept


def test_lines_that_are_no_batch(installation: Installation, ann: dict[str, str]) -> None:
    kept = installation.what_is_kept()

    assert_problem(send(installation, ann, b"\n \n", NDJSON), 422, "jobs")
    assert_problem(send(installation, ann, b"3\n" * 10_001, NDJSON), 413)
    assert_problem(send(installation, ann, f'{{"then": 3}}\n{GOOD}', NDJSON), 422, "then")
    assert_problem(send(installation, ann, f'{{"then": {{"task": "\\ud800"}}}}\n{GOOD}', NDJSON), 400)
    assert_problem(send(installation, ann, GOOD, "text/plain"), 415)

    assert installation.what_is_kept() == kept


def test_a_body_in_chunks_that_is_too_large(installation: Installation, ann: dict[str, str]) -> None:
    answer = installation.client.post(
        BATCHES,
        input_stream=io.BytesIO(GOOD.encode() + b"\n" * 3_000_000),  # what is cut off is not missed
        environ_overrides={"wsgi.input_terminated": True},
        headers={**ann, "Transfer-Encoding": "chunked", "Content-Type": NDJSON},
    )

    assert_problem(answer, 413)


def test_lines_that_break_off_are_no_batch(installation: Installation, ann: dict[str, str]) -> None:
    kept = installation.what_is_kept()
    sent = f"{GOOD}\n{GOOD}\n"

    answer = installation.client.post(
        BATCHES,
        input_stream=io.BytesIO(sent.encode()),
        environ_overrides={
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": str(len(sent) + 100),
        },  # as gunicorn has it
        headers={**ann, "Content-Type": NDJSON},
    )

    assert_problem(answer, 400)
    assert installation.what_is_kept() == kept


@pytest.mark.parametrize("lines", [False, True])
def test_then_is_told_with_the_batch(installation: Installation, ann: dict[str, str], lines: bool) -> None:
    then = {"task": "batches.collect"}
    body = f"{json.dumps({'then': then})}\n{GOOD}\n" if lines else json.dumps({"jobs": [JOB], "then": then})

    answer = send(installation, ann, body, NDJSON if lines else "application/json")

    assert statuses(answer) == [202]
    told = answer.json["then"]
    assert (told["task"], told["state"], told["links"]) == ("batches.collect", None, {})
    assert installation.client.get(answer.headers["Location"], headers=ann).json["then"] == told
    later = send(installation, ann, f"{GOOD}\n{json.dumps({'then': then})}\n", NDJSON)
    assert statuses(later) == [202, 422]


def test_when_no_job_is_accepted_nothing_is_stored_and_each_is_told_why(
    installation: Installation, ann: dict[str, str]
) -> None:
    kept = installation.what_is_kept()

    answer = send(installation, {**ann, "Idempotency-Key": "none"}, [3, {"task": "no.such"}])

    assert_problem(answer, 422)
    assert [outcome["status"] for outcome in answer.json["outcomes"]] == [422, 404]
    assert installation.what_is_kept() == kept
    assert send(installation, {**ann, "Idempotency-Key": "none"}, [JOB]).status_code == 202


def test_the_same_batch_again(installation: Installation, ann: dict[str, str], bob: dict[str, str]) -> None:
    keyed = {**ann, "Idempotency-Key": '"batch one"'}
    first = send(installation, keyed, [JOB, 3])
    kept = installation.what_is_kept()

    again = send(installation, keyed, f"{GOOD}\n3", NDJSON)  # the same jobs, in another form

    assert (again.status_code, again.json) == (202, first.json)
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert_problem(send(installation, keyed, [JOB, 4]), 422)
    single = installation.client.post(f"{API}/tasks/{JOB['task']}/jobs", json=JOB["params"], headers=keyed)
    assert_problem(single, 422)
    assert installation.what_is_kept() == kept
    assert send(installation, {**bob, "Idempotency-Key": '"batch one"'}, [3, JOB]).status_code == 202


def test_where_its_ends_are_told_is_part_of_what_a_key_stands_for(
    installation: Installation, ann: dict[str, str]
) -> None:
    keyed = {**ann, "Idempotency-Key": "told"}
    address, other = f"{BATCHES}?webhook=https://example.com/a", f"{BATCHES}?webhook=https://example.com/b"
    items = [{**JOB, "idempotency_key": "told, one"}]
    first = installation.client.post(address, json=items, headers=keyed)
    assert statuses(first) == [202]

    assert installation.client.post(address, json=items, headers=keyed).json == first.json
    for elsewhere in (other, BATCHES):
        assert_problem(installation.client.post(elsewhere, json=items, headers=keyed), 422)
        # Nor is the job of that key the same one, if another batch wants it told elsewhere.
        assert_problem(installation.client.post(elsewhere, json=items, headers=ann), 422)
    path = f"{API}/tasks/{JOB['task']}/jobs?webhook=https://example.com/a"
    alone = installation.client.post(path, json=JOB["params"], headers={**ann, "Idempotency-Key": '"told, one"'})
    assert (alone.status_code, alone.json["task_id"]) == (202, first.json["outcomes"][0]["task_id"])


def test_the_document_names_what_a_job_of_a_batch_can_say(installation: Installation) -> None:
    document = build_document(installation.app.extensions["celery"])
    body = document["paths"][BATCHES]["post"]["requestBody"]["content"]
    whole, array = body["application/json"]["schema"]["anyOf"]
    jobs = array["items"]["anyOf"]

    assert NDJSON in body
    assert {job["properties"]["task"]["const"] for job in jobs} >= {"maintenance.adds", "batches.collect"}
    for job in jobs:
        assert job["properties"].keys() == BatchItemSchema().fields.keys()
    assert whole["properties"]["then"]["properties"].keys() == ThenSchema().fields.keys()


@pytest.fixture(scope="module")
def bob(installation: Installation) -> dict[str, str]:
    return installation.headers("bob")
