"""The sample job goes on where the server says to come again."""

import httpx
import pytest

from app.commands import sample_job


def test_it_comes_again_after_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(sample_job.time, "sleep", slept.append)
    answers = iter([httpx.Response(503, headers={"Retry-After": "2"}), httpx.Response(503), httpx.Response(200)])
    transport = httpx.MockTransport(lambda _: next(answers))

    with httpx.Client(base_url="http://server", transport=transport) as client:
        assert sample_job._send(client, "GET", "/job").status_code == 200

    assert slept == [2.0, 1.0]


def test_another_error_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(500))
    with httpx.Client(base_url="http://server", transport=transport) as client, pytest.raises(httpx.HTTPStatusError):
        sample_job._send(client, "GET", "/job")
