"""Answers that are put together without werkzeug's help are what it would have made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from flask import Response

from app.api_1_0.json_response import PlainResponse, Unchanged

MORE = [("ETag", '"tag"'), ("Location", "/api/1.0/results/x"), ("Retry-After", "1"), ("Content-Language", "en")]


def usual(status: int) -> Response:
    headers = [("Content-Type", "application/json"), ("Content-Length", "2"), ("Cache-Control", "no-store"), *MORE]
    return Response([b"{}"], status, headers)


def sent(response: Response, method: str) -> tuple[str, list[tuple[str, str]], bytes]:
    told: list[Any] = []
    chunks: Iterable[bytes] = response({"REQUEST_METHOD": method}, lambda *given: told.extend(given))
    body = b"".join(chunks)
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
    return told[0], sorted(told[1]), body


@pytest.mark.parametrize("status", [200, 202, 204, 404, 503])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_they_are_sent_as_werkzeug_sends_them(status: int, method: str) -> None:
    assert sent(PlainResponse(b"{}", status, MORE), method) == sent(usual(status), method)


def test_they_have_all_that_werkzeugs_have() -> None:
    plain, other = vars(PlainResponse(b"{}", 202, MORE)), vars(usual(202))

    assert plain == other
    assert plain.keys() == other.keys()


def test_what_is_to_be_done_at_the_end_is_done_once_it_is_sent() -> None:
    for response in (PlainResponse(b"{}", 200), Unchanged(MORE)):
        done: list[str] = []
        response.call_on_close(lambda done=done: done.append("at the end"))
        sent(response, "GET")
        assert done == ["at the end"]


def test_what_is_put_in_later_is_what_is_sent() -> None:
    response = PlainResponse(b"{}", 200)
    response.set_data(b"[1]")

    status, headers, body = sent(response, "GET")

    assert (status, dict(headers)["Content-Length"], body) == ("200 OK", "3", b"[1]")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_unchanged_is_not_described(method: str) -> None:
    assert sent(Unchanged(MORE), method) == sent(usual(304), method)
