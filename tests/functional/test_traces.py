"""One trace from a client's ``traceparent`` through API, queue, runs and SQL, as a collector is sent it."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import ROOT, Worker, wait_until
from tests.functional.otlp_receiver import Receiver, Span, otlp_receiver
from tests.installation import API, ApiServer, Installation, an_installation

MODULE = "tests.functional.traced_jobs"
SECRET = "what-nobody-else-is-to-know"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def installation(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Whose processes send their spans soon; that of this test sends none."""
    with an_installation(tmp_path_factory.mktemp("traces"), LOG_FORMAT="json") as installation:
        installation.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        yield installation


@pytest.fixture(scope="module")
def server(installation: Installation) -> ApiServer:
    return installation.start_api(application=f"{MODULE}:create_app()")


@pytest.fixture(scope="module", params=["prefork", "gevent"])
def worker(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Worker]:
    worker = installation.start_worker("-I", MODULE, "--pool", request.param, "--concurrency", "1")
    yield worker
    worker.stop()


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


@pytest.mark.long
def test_a_trace_goes_all_the_way(
    installation: Installation, server: ApiServer, worker: Worker, receiver: Receiver
) -> None:
    trace, client = secrets.token_hex(16), secrets.token_hex(8)
    headers = {**installation.headers("ann"), "traceparent": f"00-{trace}-{client}-01", "X-Request-ID": f"r-{client}"}
    address = f"{server.url}{API}/tasks/traced.work/jobs"
    answer = httpx.post(address, json={"secret": SECRET}, headers=headers, timeout=20)
    assert answer.status_code == 202, answer.text
    task_id = answer.json()["task_id"]

    def ended() -> bool:
        spans = receiver.of(trace)
        return len(named(spans, "process default")) == 4 and len(named(spans, "send default")) == 3

    wait_until(ended, timeout=60, what="two runs, two children and what sent them")
    spans = receiver.of(trace)
    by_id = {span.id: span for span in spans}

    (request,) = [span for span in spans if span.kind == "SERVER"]
    assert (request.name, request.parent) == (f"POST {API}/tasks/<task>/jobs", client)
    assert request.service == "taskgate-api"
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": f"{API}/tasks/<task>/jobs",
        "url.path": f"{API}/tasks/traced.work/jobs",
        "url.scheme": "http",
        "http.response.status_code": 202,
        "taskgate.request_id": f"r-{client}",
    }

    (sent,) = [span for span in named(spans, "send default") if span.attributes["taskgate.task"] == "traced.work"]
    assert (sent.parent, sent.kind, sent.service) == (request.id, "PRODUCER", "taskgate-api")
    assert (sent.attributes["messaging.message.id"], sent.attributes["messaging.system"]) == (task_id, "celery")

    runs = [span for span in named(spans, "process default") if span.attributes["taskgate.task"] == "traced.work"]
    assert {run.attributes["taskgate.retries"]: run.attributes["taskgate.state"] for run in runs} == {
        0: "RETRY",
        1: "SUCCESS",
    }
    for run in runs:
        assert (run.parent, run.kind, run.service) == (sent.id, "CONSUMER", "taskgate-worker")
        assert run.attributes["messaging.message.id"] == task_id
        assert run.attributes["taskgate.request_id"] == f"r-{client}"
        statements = [span.attributes.get("db.statement", "") for span in spans if span.parent == run.id]
        assert any("INSERT INTO traced" in str(statement) for statement in statements)
        (to_child,) = [span for span in named(spans, "send default") if span.parent == run.id]
        (child,) = [span for span in named(spans, "process default") if span.parent == to_child.id]
        assert child.attributes["taskgate.task"] == "traced.child"
        assert any("SELECT 41" in str(s.attributes.get("db.statement")) for s in spans if s.parent == child.id)

    assert all(span.parent in by_id for span in spans if span is not request)
    assert any(span.failed for span in spans)  # the row that was refused
    key = headers["Authorization"].removeprefix("Bearer ")
    assert not [span.text for span in receiver.spans if SECRET in span.text or key in span.text]
    assert f'"trace_id": "{trace}"' in server.log


@pytest.mark.long
def test_a_batch_is_sent_in_one_span_and_its_runs_are_below_it(
    installation: Installation, server: ApiServer, worker: Worker, receiver: Receiver
) -> None:
    trace, client = secrets.token_hex(16), secrets.token_hex(8)
    headers = {**installation.headers("ann"), "traceparent": f"00-{trace}-{client}-01"}
    item = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}
    answer = httpx.post(f"{server.url}{API}/batches", json=[item] * 3, headers=headers, timeout=20)
    assert answer.status_code == 202, answer.text

    wait_until(lambda: len(named(receiver.of(trace), "process default")) == 3, timeout=60, what="three runs")
    wait_until(lambda: named(receiver.of(trace), "send"), timeout=60, what="what sent them")

    (request,) = [span for span in receiver.of(trace) if span.kind == "SERVER"]
    (sent,) = named(receiver.of(trace), "send")
    assert (sent.parent, sent.attributes["messaging.batch.message_count"]) == (request.id, 3)
    assert {run.parent for run in named(receiver.of(trace), "process default")} == {sent.id}


@pytest.mark.long
def test_what_waits_to_be_sent_is_sent_by_processes_that_stop(
    receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trace, client = secrets.token_hex(16), secrets.token_hex(8)
    with an_installation(tmp_path_factory.mktemp("stopped")) as installation:
        installation.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        server = installation.start_api()
        worker = installation.start_worker("--pool", "prefork", "--concurrency", "1")
        headers = {**installation.headers("ann"), "traceparent": f"00-{trace}-{client}-01", "Prefer": "wait=30"}
        address = f"{server.url}{API}/tasks/maintenance.adds/jobs"
        answer = httpx.post(address, json={"a": 1, "b": 2}, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        assert receiver.of(trace) == []

        worker.stop()
        server.stop()

    kinds = sorted(span.kind for span in receiver.of(trace) if span.kind != "CLIENT")
    assert kinds == ["CONSUMER", "PRODUCER", "SERVER"]


@pytest.mark.long
def test_what_a_client_does_not_want_recorded_is_not(
    installation: Installation, server: ApiServer, worker: Worker, receiver: Receiver
) -> None:
    unwanted, wanted = secrets.token_hex(16), secrets.token_hex(16)
    for trace, flags in ((unwanted, "00"), (wanted, "01")):
        headers = {**installation.headers("ann"), "traceparent": f"00-{trace}-{secrets.token_hex(8)}-{flags}"}
        body = {"secret": SECRET}
        answer = httpx.post(f"{server.url}{API}/tasks/traced.work/jobs", json=body, headers=headers, timeout=20)
        assert answer.status_code == 202

    wait_until(lambda: len(named(receiver.of(wanted), "process default")) == 4, timeout=60, what="the second trace")

    assert receiver.of(unwanted) == []


def test_nothing_of_it_is_imported_unless_it_is_asked_for(installation: Installation) -> None:
    """But for what redis-py imports by itself, where it is installed: the API of metrics."""
    say = "import sys, app; app.create_app(); print(*sys.modules)"
    environment = {**installation.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": ""}

    said = subprocess.run(
        [sys.executable, "-c", say], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    ours = ("libs.tracing", "app.tracing.request_spans")
    theirs = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.instrumentation")
    assert [name for name in said.stdout.split() if name.startswith((*ours, *theirs))] == []


def test_what_is_not_installed_is_named(installation: Installation) -> None:
    say = "import sys; sys.modules['opentelemetry'] = None; import app; app.create_app()"

    said = subprocess.run(
        [sys.executable, "-c", say],
        cwd=ROOT,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert said.returncode == 1
    assert "ConfigError: OTEL_EXPORTER_OTLP_ENDPOINT wants" in said.stderr
    assert "pip install -r requirements-otel.txt" in said.stderr
