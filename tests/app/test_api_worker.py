"""How an answer's pieces go out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from libs.api_worker import JoinedSends

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class Ends:
    def __init__(self) -> None:
        # Each send is a packet of its own there.
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs.setblocking(False)
        self.joined = JoinedSends(self.ours)

    def came(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.theirs.recv(4096))
            except BlockingIOError:
                return packets


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.ours.close()
    ends.theirs.close()


def test_the_head_goes_with_the_first_piece_and_the_others_at_once(ends: Ends) -> None:
    ends.joined.sendall(HEAD)
    assert ends.came() == []
    ends.joined.sendall(b"one")
    assert ends.came() == [HEAD + b"one"]
    for piece in (b"two", HEAD):
        ends.joined.sendall(piece)
        assert ends.came() == [piece]


def test_a_head_alone_goes_at_the_end(ends: Ends) -> None:
    ends.joined.sendall(HEAD)
    ends.joined.flush()
    ends.joined.flush()
    assert ends.came() == [HEAD]


@pytest.mark.parametrize("code", [100, 103])
def test_what_only_announces_an_answer_does_not_wait_for_it(ends: Ends, code: int) -> None:
    notice = b"HTTP/1.1 %d Wait\r\n\r\n" % code
    ends.joined.sendall(notice)
    assert ends.came() == [notice]


def test_the_head_goes_before_anything_else_is_done_with_the_socket(ends: Ends) -> None:
    ends.joined.sendall(HEAD)
    ends.joined.send(b"file")
    assert ends.came() == [HEAD, b"file"]
