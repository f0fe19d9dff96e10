"""One attempt, over real connections: to checked addresses only, and over in time whatever the receiver does."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.outgoing import guard, tls_context
from app.webhooks.sending import Outcome, Sender
from tests.webhooks.receiver import Received, Receiver, a_receiver, status

LOOPBACK = (ip_network("127.0.0.0/8"),)
SENDER = Sender(timeout=5, allow_http=True, allowed=LOOPBACK)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


class Names:
    """A name server that answers a name with one list of addresses after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.answers.pop(0)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Whereto sockets were to be connected; none is, but to this host."""
    tried = []
    plain = httpcore.SyncBackend.connect_tcp

    def connect(self: httpcore.SyncBackend, host: str, port: int, *rest: object) -> httpcore.NetworkStream:
        tried.append((host, port))
        if not ip_address(host).is_loopback:
            raise httpcore.ConnectError("not from a test")
        return plain(self, host, port, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return tried


def only(receiver: Receiver) -> Received:
    (received,) = receiver.received
    return received


def test_it_is_posted_as_it_is(receiver: Receiver) -> None:
    outcome = SENDER.send(f"{receiver.url}/a/b?token=x", b'{"a": 1}', {"webhook-id": "msg_1"})

    assert (outcome.status, outcome.error, outcome.is_taken) == (204, None, True)
    assert 0 < outcome.seconds < 5
    received = only(receiver)
    assert (received.path, received.body) == ("/a/b?token=x", b'{"a": 1}')
    assert received.headers == {
        "Host": f"127.0.0.1:{receiver.port}",
        "User-Agent": "Taskgate",
        "Content-Type": "application/json",
        "Content-Length": "8",
        "webhook-id": "msg_1",
    }


@pytest.mark.parametrize("code", [200, 201, 299])
def test_only_2xx_is_taken(code: int, receiver: Receiver) -> None:
    receiver.answers = [status(code)]

    assert SENDER.send(receiver.url, b"", {}).is_taken


@pytest.mark.parametrize("code", [304, 400, 404, 410, 429, 500, 503, 599])
def test_what_is_not_taken(code: int, receiver: Receiver) -> None:
    receiver.answers = [status(code, Retry_After="7")]

    outcome = SENDER.send(receiver.url, b"", {})

    assert (outcome.status, outcome.is_taken, outcome.is_unwanted) == (code, False, code == 410)
    assert outcome.retry_after == 7


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0", 0), ("86401", 86_400), ("-5", 0), ("x", 0), ("9" * 400, 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)],
)
def test_how_long_a_receiver_asks_to_be_left_alone(said: str, seconds: int, receiver: Receiver) -> None:
    receiver.answers = [status(503, Retry_After=said)]

    assert SENDER.send(receiver.url, b"", {}).retry_after == seconds


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "/elsewhere"])
def test_a_redirect_is_not_followed(
    location: str, code: int, receiver: Receiver, connected: list[tuple[str, int]]
) -> None:
    receiver.answers = [status(code, Location=location)]

    outcome = SENDER.send(receiver.url, b"", {})

    assert (outcome.status, outcome.is_taken) == (code, False)
    assert connected == [("127.0.0.1", receiver.port)]
    assert len(receiver.received) == 1


def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert SENDER.send(receiver.url, b"", {}).is_taken
        assert proxy.received == []


def test_an_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    written = []

    def without_end(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        while True:
            written.append(handler.wfile.write(b"x" * 65_536))

    receiver.answers = [without_end]

    outcome = SENDER.send(receiver.url, b"", {})

    assert outcome.is_taken
    assert outcome.seconds < 3
    assert sum(written) < 20_000_000  # what the system's buffers hold


def test_headers_without_end(receiver: Receiver) -> None:
    def without_end(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"x-padding: " + b"x" * 1000 + b"\r\n")

    receiver.answers = [without_end]

    assert SENDER.send(receiver.url, b"", {}).error == "no_http"


def test_what_answers_otherwise_than_http(receiver: Receiver) -> None:
    receiver.answers = [lambda handler: handler.wfile.write(b"+PONG\r\n\r\n") and None]

    assert SENDER.send(receiver.url, b"", {}).error == "no_http"


def drips_a_header(handler: BaseHTTPRequestHandler, receiver: Receiver) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not receiver.closing.wait(0.1):
        handler.wfile.write(b"x")


def says_nothing(_: BaseHTTPRequestHandler, receiver: Receiver) -> None:
    receiver.closing.wait(60)


@pytest.mark.parametrize("hang", [drips_a_header, says_nothing])
def test_a_receiver_that_takes_its_time_has_the_whole_and_no_more(hang: object, receiver: Receiver) -> None:
    receiver.answers = [lambda handler: hang(handler, receiver)]  # type: ignore[operator]

    outcome = replace(SENDER, timeout=1).send(receiver.url, b"", {})

    assert (outcome.status, outcome.error) == (None, "timeout")
    assert 0.9 < outcome.seconds < 3


def test_a_body_that_drips_has_been_answered(receiver: Receiver) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not receiver.closing.wait(0.1):
            handler.wfile.write(b"x")

    receiver.answers = [drip]

    outcome = replace(SENDER, timeout=1).send(receiver.url, b"", {})

    assert outcome.is_taken
    assert outcome.seconds < 3


def test_nobody_listens() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))

        assert SENDER.send(f"http://127.0.0.1:{unheard.getsockname()[1]}/", b"", {}).error == "connection"


def test_a_listener_that_never_accepts() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)

        outcome = replace(SENDER, timeout=1).send(f"http://127.0.0.1:{deaf.getsockname()[1]}/", b"", {})

    assert outcome.error == "timeout"
    assert outcome.seconds < 3


def test_an_address_that_was_allowed_once_is_not_sent_to(connected: list[tuple[str, int]]) -> None:
    strict = Sender(timeout=5, allow_http=False, allowed=())

    assert strict.send("http://example.com/", b"", {}).error == "forbidden_url"
    assert strict.send("https://127.0.0.1/", b"", {}).error == "forbidden_url"
    assert connected == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["fe80::1%lo"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["93.184.216.34", "127.0.0.1"],
        ["2606:2800:220:1::1", "fd00::1"],
    ],
)
def test_a_name_of_which_any_address_is_forbidden(addresses: list[str], connected: list[tuple[str, int]]) -> None:
    sender = Sender(timeout=5, allow_http=True, allowed=(), resolve=Names(addresses))

    outcome = sender.send("http://rebound.example.com/", b"", {})

    assert (outcome.status, outcome.error) == (None, "forbidden_address")
    assert connected == []


def test_a_name_that_stands_for_something_else_the_next_time(connected: list[tuple[str, int]]) -> None:
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    sender = Sender(timeout=5, allow_http=True, allowed=(), resolve=names)

    first = sender.send("http://rebound.example.com:8080/", b"", {})
    second = sender.send("http://rebound.example.com:8080/", b"", {})

    assert (first.error, second.error) == ("connection", "forbidden_address")
    assert connected == [("93.184.216.34", 8080)]
    assert names.asked == ["rebound.example.com"] * 2


def test_no_resolver_is_asked_after_the_check(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """With the system's own functions: what the socket is connected to has been checked."""
    asked = []
    plain = socket.getaddrinfo

    def look_up(host: str, *rest: object, **options: object) -> object:
        asked.append(host)
        known = {"receiver.example.com": "127.0.0.1"}
        return plain(known.get(host, host), *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert SENDER.send(f"http://receiver.example.com:{receiver.port}/", b"", {}).is_taken
    assert asked == ["receiver.example.com", "127.0.0.1"]  # the second is an address already
    assert only(receiver).headers["Host"] == f"receiver.example.com:{receiver.port}"


def test_every_address_of_a_name_is_tried(connected: list[tuple[str, int]], receiver: Receiver) -> None:
    sender = replace(SENDER, resolve=Names(["127.0.0.9", "93.184.216.34", "127.0.0.1"]))

    assert sender.send(f"http://receiver.example.com:{receiver.port}/", b"", {}).is_taken
    assert [host for host, _ in connected] == ["127.0.0.9", "93.184.216.34", "127.0.0.1"]


def test_a_name_that_nobody_knows() -> None:
    def unknown(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert replace(SENDER, resolve=unknown).send("http://unknown.example.com/", b"", {}).error == "unknown_host"
    assert replace(SENDER, resolve=Names([])).send("http://unknown.example.com/", b"", {}).error == "unknown_host"


def test_a_name_server_that_takes_too_long() -> None:
    def slow(_: str) -> list[str]:
        time.sleep(2)
        return ["127.0.0.1"]

    outcome = replace(SENDER, timeout=1, resolve=slow).send("http://slow.example.com/", b"", {})

    assert outcome.error == "unknown_host"
    assert outcome.seconds < 1.8


class Certificates:
    """An authority of this test's own, and what it certifies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        self.authority = folder / "authority.pem"
        basic = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        own = self._builder(self.name, self.key).add_extension(basic, critical=True).add_extension(usage, True)
        own = own.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        self.authority.write_bytes(own.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server_context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        builder = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        signed = builder.add_extension(issuer, critical=False).sign(self.key, hashes.SHA256())
        file = self.folder / f"{host}.pem"
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        file.write_bytes(signed.public_bytes(pem) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        day = timedelta(days=1)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - day).not_valid_after(now + day)


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificates]:
    """Trusted, as an operator has one's own trusted."""
    certificates = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    tls_context.cache_clear()
    yield certificates
    tls_context.cache_clear()


def test_tls_names_the_host_and_is_verified_by_it(certificates: Certificates) -> None:
    context = certificates.server_context("receiver.example.com")
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)  # type: ignore[assignment]
    with a_receiver(context) as receiver:

        def send_to(host: str) -> Outcome:
            sender = Sender(5, allow_http=False, allowed=LOOPBACK, resolve=Names(["127.0.0.1"]))
            return sender.send(f"https://{host}:{receiver.port}/x", b"{}", {})

        good, wrong = send_to("receiver.example.com"), send_to("another.example.com")

        assert (good.status, good.error) == (204, None)
        assert (wrong.status, wrong.error) == (None, "tls")
        assert names == ["receiver.example.com", "another.example.com"]
        assert only(receiver).headers["Host"] == f"receiver.example.com:{receiver.port}"


def test_an_authority_that_is_not_trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with a_receiver(certificates.server_context("receiver.example.com")) as receiver:
        sender = Sender(5, allow_http=False, allowed=LOOPBACK, resolve=Names(["127.0.0.1"]))

        assert sender.send(f"https://receiver.example.com:{receiver.port}/", b"", {}).error == "tls"
        assert receiver.received == []


def test_a_receiver_that_hangs_before_tls_is_up(certificates: Certificates) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        sender = Sender(1, allow_http=False, allowed=LOOPBACK)

        outcome = sender.send(f"https://127.0.0.1:{silent.getsockname()[1]}/", b"", {})

    assert outcome.error == "timeout"
    assert outcome.seconds < 3


def test_the_debug_log_has_no_address_and_no_signature(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    SENDER.send(f"{receiver.url}/x?token=geheim", b"", {"webhook-signature": "v1,geheim"})

    assert "geheim" not in caplog.text


def test_nothing_is_connected_but_by_the_guard() -> None:
    with pytest.raises(guard.ForbiddenAddressError):
        guard.GuardedBackend(guard.Deadline(1)).connect_unix_socket("/run/docker.sock")
    assert httpx.URL("http://[::1]:80/").raw_host == b"::1"  # which the guard reads as an address
