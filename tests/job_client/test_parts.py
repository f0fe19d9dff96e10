"""What needs no server: how events are cut from bytes, how long is waited between tries, what is never shown."""

from __future__ import annotations

import json

import httpx
import pytest

from libs.job_client import AsyncJobClient, Job, JobClient, RetryPolicy, Submission, UnreachableError
from libs.job_client.completions import completed
from libs.job_client.connection import connection
from libs.job_client.event_text import EventText, Frame
from libs.job_client.flow import Emit, Exchange, Pause, Reply, Request
from libs.job_client.model import BatchOutcome, JobState, Problem
from libs.job_client.retrying import retry_after_seconds
from libs.job_client.sending import Terms, send

KEY = "tg_0123456789ab_a-secret-that-nobody-shall-see"
STREAM = (
    b"retry: 1850\r\n\r\n:\n\nid: 3\nevent: state\ndata: {\"a\":\ndata: 1}\n\n"
    b"event: log\rdata:\xc3\xbc\r\rid: 9\n\ndata: x\n\n"
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_events_are_the_same_however_the_bytes_come(size: int) -> None:
    text = EventText()

    frames = [frame for at in range(0, len(STREAM), size) for frame in text.feed(STREAM[at : at + size])]

    assert frames == [
        Frame("state", '{"a":\n1}', "3"),
        Frame("log", "ü", None),
        Frame("message", "x", None),
    ]
    assert text.retry == 1.85


def test_pauses_grow_are_bounded_and_honour_what_the_server_asks() -> None:
    policy = RetryPolicy(patience=60, first=1, longest=8)

    for tries, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (50, 8)]:
        pauses = [policy.pause(tries, left=60) or 0 for _ in range(200)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
        assert len(set(pauses)) > 100, "by chance"
    assert all(30 <= (policy.pause(1, left=60, retry_after=30) or 0) <= 31 for _ in range(100))
    assert policy.pause(1, left=10, retry_after=30) is None
    assert policy.pause(4, left=0.1) is None
    assert [retry_after_seconds(value) for value in ("7", None, "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "٣")] == [
        7, None, None, None, None,
    ]  # fmt: skip


def test_retry_after_is_what_is_waited() -> None:
    flow = send(Terms("http://x", RetryPolicy(first=0.1)), Request("GET", "tasks"))
    next(flow)

    step = flow.send(Reply(429, {"retry-after": "7"}, b""))

    assert isinstance(step, Pause)
    assert 7 <= step.seconds < 7.2


def test_no_more_is_asked_than_patience_allows() -> None:
    flow = send(Terms("http://x", RetryPolicy(patience=0)), Request("GET", "tasks"))
    next(flow)

    with pytest.raises(Exception, match="503 Service Unavailable"):
        flow.send(Reply(503, {"content-type": "text/html"}, b"<html>a proxy's"))


def test_the_key_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with JobClient("http://127.0.0.1:9", KEY, retries=RetryPolicy(patience=0)) as client:
        with pytest.raises(UnreachableError) as error:
            client.submit("maintenance.adds", a=1, b=2)
        submission = Submission("id", "task", JobState.PENDING, None, "tgj_secret-too")
        shown = [
            repr(client), str(client), repr(error.value), str(error.value), str(error.value.__cause__), caplog.text,
            repr(connection("http://127.0.0.1:9", KEY, verify=True)),
            repr(AsyncJobClient("http://127.0.0.1:9", KEY)), repr(submission),
            repr(Job(client._driver, client._terms, "id", submission)), repr(vars(error.value)),
        ]  # fmt: skip

    assert "http://127.0.0.1:9/api/1.0" in shown[0]
    assert not [text for text in shown if "secret" in text]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("", KEY),
        ("ftp://host", KEY),
        ("host:8000", KEY),
        ("http://user:secret@host", KEY),
        ("http://host/?key=secret", KEY),
        ("http://host", ""),
        ("http://host", "secret\r\nX-Other: 1"),
        ("http://host", "sécret"),
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_it(
    url: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKGATE_URL", raising=False)
    monkeypatch.delenv("TASKGATE_KEY", raising=False)

    for kind in (JobClient, AsyncJobClient):
        with pytest.raises(ValueError, match=r"address|key") as refused:
            kind(url, key)
        assert "secret" not in str(refused.value)
        assert "sécret" not in str(refused.value)


def test_the_address_and_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGATE_URL", "https://jobs.example.com/under/")
    monkeypatch.setenv("TASKGATE_KEY", f" {KEY}\n")

    with JobClient() as client:
        assert client.url == "https://jobs.example.com/under/api/1.0"
        assert client._http.headers["Authorization"] == f"Bearer {KEY}"


def test_redirects_take_the_key_nowhere() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://elsewhere.example/"})

    client = JobClient("http://here.example", KEY)
    client._http.close()
    client._http = httpx.Client(base_url=client.url, transport=httpx.MockTransport(answer))
    client._driver._http = client._http
    with pytest.raises(Exception, match="HTTP 302"):
        client.tasks()
    client.close()

    assert asked == ["http://here.example/api/1.0/tasks"]


def poll_reply(etag: str, **states: int | None) -> Reply:
    """Of jobs that have not ended (None), or are not there any more."""
    entries = [
        {"task_id": task_id, "state": "PENDING"} if status is None else {"task_id": task_id, "status": status}
        for task_id, status in states.items()
    ]
    return Reply(200, {"etag": etag}, json.dumps({"results": entries}).encode())


def test_what_has_ended_between_two_polls_is_not_waited_for() -> None:
    """A held poll is answered when something changes: so each new set of jobs is looked at before it is held."""
    flow = completed(
        Terms("http://x", RetryPolicy()),
        [BatchOutcome(n, task_id, JobState.PENDING, None) for n, task_id in enumerate("ab")],
        timeout=None,
    )

    def asked(step: object) -> tuple[bool, str | None]:
        assert isinstance(step, Exchange)
        return "wait" in dict(step.request.query), step.request.headers.get("If-None-Match")

    assert asked(next(flow)) == (False, None)
    assert isinstance(flow.send(poll_reply("1", a=None, b=None)), Pause)
    assert asked(flow.send(None)) == (True, "1")
    told = flow.send(poll_reply("2", a=410, b=None))
    assert isinstance(told, Emit)
    assert told.value.problem == Problem(410, "")
    assert asked(flow.send(None)) == (False, None)
