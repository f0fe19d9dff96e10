"""The same conversations with our worker and with gunicorn's own: what is sent and answered is the same."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, wait_until

KEEPALIVE = 1


@dataclass
class Server:
    """A gunicorn with one process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path = field(repr=False)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def talk(self, *pieces: bytes, pause: float = 0.05) -> bytes:
        """Send the pieces apart, say that nothing more will come, and read until the server closes."""
        with closing(self.connect()) as client, suppress(ConnectionError):
            answer = b""
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(pause)  # or they would come together
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                answer += data
        return steady(answer, self.port)

    def serving(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def stop(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait(10)


def steady(answer: bytes, port: int) -> bytes:
    """Without what is another one each time."""
    return re.sub(rb"Date: [^\r]+", b"Date: -", answer).replace(b":%d" % port, b":port")


def started(worker_class: str, folder: Path, *options: str) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "tests.api_worker.echo:application"]
    own = ["--config", os.devnull, "--no-control-socket", "--forwarded-allow-ips", "", "--limit-request-line", "8190"]
    serving = ["--bind", f"127.0.0.1:{port}", "--worker-class", worker_class, "--keep-alive", str(KEEPALIVE)]
    log = folder / f"{worker_class}.log"
    with log.open("ab") as file:
        process = subprocess.Popen([*command, *own, *serving, *options], cwd=ROOT, stdout=file, stderr=file)
    server = Server(process, port, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError):
            return b"200 OK" in server.talk(GET % b"/a")
        return False

    wait_until(answers, timeout=60, what="gunicorn")
    return server


OURS, THEIRS = "libs.api_worker.ApiWorker", "gevent"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("gunicorn")
    both = started(OURS, folder), started(THEIRS, folder)
    yield both
    for server in both:
        server.stop()


GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

CONVERSATIONS: dict[str, tuple[bytes, ...]] = {
    "a path": (GET % b"/a",),
    "the root": (GET % b"/",),
    "a query": (GET % b"/a?b=c&d=%20e?f",),
    "an escaped path": (GET % b"/a%20b%2Fc%C3%A9%ff",),
    "an unescaped path": (GET % b"/\xc3\xa9",),
    "two slashes": (GET % b"//a//b",),
    "a fragment": (GET % b"/a?b#c",),
    "a whole address": (GET % b"http://y/a?b",),
    "a semicolon and brackets": (GET % b"/a;b[c]",),
    "no path": (GET % b"?a",),
    "an asterisk": (GET % b"*",),
    "OPTIONS of all": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",),
    "a lower-case method": (b"get /a HTTP/1.1\r\nHost: x\r\n\r\n",),
    "an unknown method": (b"BREW /a HTTP/1.1\r\nHost: x\r\n\r\n",),
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n",),
    "HTTP/1.0 that is kept": (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2,),
    "HTTP/1.0 and a stream": (b"GET /stream HTTP/1.0\r\n\r\n",),
    "HTTP/2.0": (b"GET /a HTTP/2.0\r\n\r\n",),
    "HEAD": (b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", GET % b"/a"),
    "HEAD of a stream": (b"HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n" + GET % b"/a",),
    "HEAD of a file": (b"HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n" + GET % b"/a",),
    "a stream": (GET % b"/stream" + GET % b"/a",),
    "a file": (GET % b"/file" + GET % b"/a",),
    "nothing": (GET % b"/empty" + GET % b"/a",),
    "hints": (GET % b"/hints" + GET % b"/a",),
    "a header that is the server's": (GET % b"/hop" + GET % b"/a",),
    "more than was said": (GET % b"/too-much" + GET % b"/a",),
    "a header that is none": (GET % b"/bad-header" + GET % b"/a",),
    "an application that fails": (GET % b"/fails" + GET % b"/a",),
    "one that fails later": (GET % b"/fails-later" + GET % b"/a",),
    "the client closes": (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n" + GET % b"/b",),
    "the client keeps": (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n" + GET % b"/b",),
    "another word of the connection": (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: TE, close\r\n\r\n" + GET % b"/b",),
    "an upgrade": (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",),
    "a body": (POST + b"hello",),
    "a body that comes later": (POST, b"he", b"llo" + GET % b"/b"),
    "a body and the next request": (POST + b"hello" + GET % b"/b" + POST + b"again",),
    "half a body": (POST + b"he",),
    "a body that nobody reads": (b"POST /too-much HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + GET % b"/b",),
    "one that comes later": (b"POST /too-much HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"hello" + GET % b"/b"),
    "a large body": (b"POST /a HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000 + GET % b"/b",),
    "a body in chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + GET % b"/b",),
    "chunks that come later": (CHUNKED, b"5\r\nhel", b"lo\r\n0\r\n\r\n" + GET % b"/b"),
    "chunks that are none": (CHUNKED + b"z\r\nhello\r\n0\r\n\r\n",),
    "a client that asks first": (EXPECTING, b"hello" + GET % b"/b"),
    "an expectation that is none": (b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n",),
    "many at once": (b"".join(GET % b"/%d" % number for number in range(50)),),
    "a head in pieces": (b"GET /a HT", b"TP/1.1\r\nHo", b"st: x\r\n", b"\r\n" + GET % b"/b"),
    "headers of all kinds": (
        b"GET /a HTTP/1.1\r\nHost: x:1\r\nX-A: 1\r\nx-a2: \t b  \r\nX-A3:\r\nAccept-Language: \xc3\xa9\r\n\r\n" * 2,
    ),
    "a header twice": (b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\n\r\n",),
    "two hosts": (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",),
    "two types": (b"GET /a HTTP/1.1\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n",),
    "two lengths": (b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",),
    "a length and chunks": (b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "lengths that are none": (b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",),
    "an odd length": (b"POST /a HTTP/1.1\r\nContent-Length: +1\r\n\r\na",),
    "another odd length": (b"POST /a HTTP/1.1\r\nContent-Length: \xb2\r\n\r\naa",),
    "a header with an underscore": (b"GET /a HTTP/1.1\r\nHost: x\r\nX_A: 1\r\nX-A: 2\r\n\r\n",),
    "a name of WSGI's": (b"GET /a HTTP/1.1\r\nSCRIPT_NAME: /b\r\nHTTP-HOST: y\r\nHost: x\r\n\r\n",),
    "names of CGI's": (b"GET /a HTTP/1.1\r\nRemote-Addr: b\r\nServer-Name: c\r\nRequest-Method: D\r\n\r\n",),
    "a proxy's word": (b"GET /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: b\r\n\r\n",),
    "a header that is folded": (b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n  2\r\n\r\n",),
    "a header without a name": (b"GET /a HTTP/1.1\r\n: x\r\n\r\n",),
    "a space before the colon": (b"GET /a HTTP/1.1\r\nHost : x\r\n\r\n",),
    "a control character": (b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",),
    "line feeds alone": (b"GET /a HTTP/1.1\nHost: x\n\n",),
    "no request": (b"nonsense\r\n\r\n",),
    "an empty line first": (b"\r\n" + GET % b"/a",),
    "half a request": (b"GET /a HTTP/1.1\r\nHo",),
    "silence": (b"",),
    "a long address": (GET % (b"/" + b"a" * 8_000),),
    "an address that is too long": (GET % (b"/" + b"a" * 9_000),),
    "a hundred headers": (b"GET /a HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(100)) + b"\r\n",),
    "a header more": (b"GET /a HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(101)) + b"\r\n",),
    "a long name": (b"GET /a HTTP/1.1\r\n" + b"X" * 300 + b": a\r\n\r\n",),
    "a header that is too long": (b"GET /a HTTP/1.1\r\nX-A: " + b"a" * 9_000 + b"\r\n\r\n",),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation(name: str, servers: tuple[Server, Server]) -> None:
    ours, theirs = (server.talk(*CONVERSATIONS[name]) for server in servers)

    assert ours == theirs


def test_a_head_goes_out_with_the_first_piece(servers: tuple[Server, Server]) -> None:
    with closing(servers[0].connect()) as client:
        client.sendall(GET % b"/slow")
        first = client.recv(65536)

        assert first.endswith(b"\r\n\r\no")
        assert client.recv(65536) == b"k"


def test_what_stays_is_left_out_of_collections_which_come_seldom(servers: tuple[Server, Server]) -> None:
    told = (server.talk(b"GET /left-alone HTTP/1.0\r\n\r\n").rpartition(b"\n")[2] for server in servers)
    (ours, our_objects), (theirs, their_objects) = (map(int, text.split()) for text in told)

    assert ours > 10_000
    assert theirs == 0
    assert our_objects > 10 * their_objects


@pytest.mark.long
@pytest.mark.parametrize("sent", [b"", GET % b"/a", b"GET /a HTTP/1.1\r\nHo", POST + b"h"], ids=repr)
def test_an_idle_connection_is_closed_in_time(sent: bytes, servers: tuple[Server, Server]) -> None:
    took = []
    for server in servers:
        with closing(server.connect()) as client:
            client.sendall(sent)
            started_at = time.monotonic()
            if sent.startswith(b"POST"):
                client.settimeout(2 * KEEPALIVE)
                with pytest.raises(TimeoutError):  # a body may take its time
                    client.recv(65536)
            else:
                while client.recv(65536):
                    pass
            took.append(time.monotonic() - started_at)

    assert all(KEEPALIVE - 0.2 < each < KEEPALIVE + 10 for each in took), took


@pytest.mark.long
def test_each_request_has_its_own_time(servers: tuple[Server, Server]) -> None:
    with closing(servers[0].connect()) as client:
        for _ in range(5):
            time.sleep(0.4 * KEEPALIVE)
            client.sendall(GET % b"/too-much")
            assert b"200 OK" in client.recv(65536)


@pytest.mark.long
def test_a_request_that_takes_longer_than_that_is_answered(servers: tuple[Server, Server]) -> None:
    assert servers[0].talk(GET % b"/slow" + GET % b"/slow" + GET % b"/a").count(b"200 OK") == 3


@pytest.mark.long
def test_a_process_ends_after_so_many_requests_and_another_goes_on(tmp_path: Path) -> None:
    server = started(OURS, tmp_path, "--max-requests", "4")  # and one has been answered by now
    try:
        [before] = server.serving()
        assert [server.talk(GET % b"/a" * 5).count(b"200 OK"), server.talk(GET % b"/a").count(b"200 OK")] == [3, 1]
        wait_until(lambda: not before.is_running(), timeout=30, what="the end of the first process")
    finally:
        server.stop()


@pytest.mark.long
def test_who_is_being_answered_is_answered_whole_when_it_stops(tmp_path: Path) -> None:
    server = started(OURS, tmp_path)
    try:
        with closing(server.connect()) as client:
            client.sendall(GET % b"/slow" + GET % b"/a")
            answer = client.recv(65536)
            server.process.send_signal(signal.SIGTERM)
            while data := client.recv(65536):
                answer += data
        assert b"\r\n\r\nok" in answer
        assert b"Connection: close" in answer
        server.process.wait(20)
    finally:
        server.stop()
