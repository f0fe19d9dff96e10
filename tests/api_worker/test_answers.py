"""How an answer's pieces go out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http.wsgi import FileWrapper, Response  # type: ignore[import-untyped]

from libs.api_worker.answers import Answer


class Ends:
    def __init__(self) -> None:
        # Each send is a packet of its own there.
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs.setblocking(False)

    def answer(self, method: str = "GET") -> Answer:
        request = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
        return Answer(request, self.ours, Config())

    def came(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.theirs.recv(4096).rpartition(b"\r\n\r\n")[2] or b"head")
            except BlockingIOError:
                return packets


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.ours.close()
    ends.theirs.close()


def test_the_head_goes_with_the_first_piece_and_the_others_at_once(ends: Ends) -> None:
    answer = ends.answer()
    answer.start_response("200 OK", [("Content-Length", "6")])
    assert ends.came() == []
    for piece in (b"one", b"two"):
        answer.write(piece)
        assert ends.came() == [piece]


@pytest.mark.parametrize("chunks", [[], [b""], [b"left out"]])
def test_a_head_alone_goes_at_the_end(chunks: list[bytes], ends: Ends) -> None:
    answer = ends.answer("HEAD")
    answer.start_response("200 OK", [("Content-Length", "8")])
    answer.send_all(chunks, FileWrapper)
    assert ends.came() == [b"head"]


PLAIN = ("X-Plain", "value")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [PLAIN, ("X-Padded", " \tvalue\t "), ("X-Empty", "")],
        [PLAIN, ("content-LENGTH", " 5 "), PLAIN],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "five")],
        [PLAIN, ("Connection", "upgrade"), ("Upgrade", "websocket"), ("Keep-Alive", "5")],
        [("transfer-Encoding", "chunked"), PLAIN],
        [PLAIN, ("X Name", "value")],
        [PLAIN, ("", "value")],
        [PLAIN, (b"X-Bytes", "value")],
        [PLAIN, ("X-Number", 5)],
        [PLAIN, ("X-Line", "a\r\nX-Other: b")],
        [PLAIN, ("X-Snowman", "\u2603")],
        [PLAIN, ("X-Latin", "caf\xe9")],
    ],
    ids=str,
)
def test_headers_are_taken_and_refused_as_gunicorn_does(headers: list[Any], ends: Ends) -> None:
    ours = ends.answer()
    gunicorns = Response(ours.req, ours.sock, ours.cfg)

    def outcome(answer: Response) -> Any:
        try:
            answer.start_response("200 OK", list(headers))
        except Exception as error:
            return type(error), str(error)
        return answer.headers, answer.response_length, answer.upgrade, answer.chunked

    for _ in range(2):  # which names are ordinary is remembered
        assert outcome(ours) == outcome(gunicorns)
        ours, gunicorns = ends.answer(), Response(ours.req, ours.sock, ours.cfg)
