"""A real SMTP server of this test process, with TLS and a login, that can be told to refuse, to wait, to go away."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "taskgate@example.com", "s3cr:t/p@ss"

#: As it stands in a URL.
LOGIN = "taskgate%40example.com:s3cr%3At%2Fp%40ss"


def make_certificate(folder: Path) -> Path:
    """A certificate that vouches for 127.0.0.1 and for itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "smtp.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@dataclass
class Hold:
    """Where the server waits, once: ``came`` says that a client is there, and ``go`` lets it go on."""

    came: Event = field(default_factory=Event)
    go: Event = field(default_factory=Event)

    async def wait(self) -> None:
        self.came.set()
        await asyncio.to_thread(self.go.wait, 60)


@dataclass
class Received:
    """A mail that the server has taken."""

    message: EmailMessage
    recipients: list[str]
    encrypted: bool
    user: str | None

    def part(self, kind: str) -> str:
        """``plain`` or ``html``."""
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


class MailServer:
    """What it has taken is in ``received``, and what it answers is for tests to say."""

    def __init__(self, certificate: Path, *, implicit_tls: bool = False, starttls: bool = True) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": self.port, "authenticator": self._authenticate}
        if implicit_tls:
            options |= {"ssl_context": context, "auth_require_tls": False}  # what it knows of is STARTTLS
        elif starttls:
            options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
        self._options = options
        self.url = f"smtp{'s' if implicit_tls else ''}://{LOGIN}@127.0.0.1:{self.port}"
        self.password = PASSWORD
        self.received: list[Received] = []
        self.answers: dict[str, str] = {}  # to RCPT, by address
        self.data_answer = ""
        self.quit_answer = ""
        self.before_taking: Hold | None = None
        self.after_taking: Hold | None = None
        self._controller: Controller | None = None

    def start(self) -> MailServer:
        self._controller = Controller(self, **self._options)
        self._controller.start()
        return self

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        is_known = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(),
            self.password.encode(),
        )
        return AuthResult(success=is_known, auth_data=USER) if is_known else AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it that
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.before_taking is not None:
            hold, self.before_taking = self.before_taking, None
            await hold.wait()
            return "451 Not now"
        if self.data_answer:
            return self.data_answer
        content = envelope.original_content or b""
        message = message_from_bytes(content, policy=SMTP_POLICY)
        assert isinstance(message, EmailMessage)
        user = str(session.auth_data) if session.auth_data else None
        encrypted = server.transport is not None and server.transport.get_extra_info("sslcontext") is not None
        self.received.append(Received(message, list(envelope.rcpt_tos), encrypted, user))
        if self.after_taking is not None:
            hold, self.after_taking = self.after_taking, None
            await hold.wait()
        return "250 Taken"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.quit_answer or "221 Bye"


@contextmanager
def mail_server(certificate: Path, **options: bool) -> Iterator[MailServer]:
    server = MailServer(certificate, **options).start()
    try:
        yield server
    finally:
        server.stop()
