"""Handing one mail over to an SMTP server, and what that says of each recipient."""

import smtplib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from ssl import SSLCertVerificationError

from app.mail.address import MailServer, Security
from app.outgoing import tls_context

#: Seconds that the server may take for each word.
TIMEOUT = 20.0

#: "Authentication succeeded" (RFC 4954).
_LOGGED_IN = 235


@dataclass(frozen=True, slots=True)
class Handover:
    """What became of a mail, by address: taken, refused for good (5xx), refused for now (4xx); with the answers."""

    taken: tuple[str, ...]
    refused: Mapping[str, str]
    delayed: Mapping[str, str]


class MailError(Exception):
    """A mail that nobody was sent. The text is for operators and holds no password.

    ``handover`` is None when it is not about the recipients.
    """

    def __init__(self, message: str, handover: Handover | None = None) -> None:
        super().__init__(message)
        self.handover = handover


class MailDelayedError(MailError):
    """It may well be taken later: the server is away, busy, or has answered 4xx."""


class MailRefusedError(MailError):
    """It will not be taken as things are: 5xx, a certificate that is not trusted, no STARTTLS, a wrong password."""


class Mailer:
    """Sends by one server. A connection lasts for one mail: they are few, and hours apart."""

    def __init__(self, server: MailServer, *, timeout: float = TIMEOUT) -> None:
        self._server, self._timeout = server, timeout

    def send(self, message: EmailMessage, recipients: Sequence[str], then: Callable[[Handover], None]) -> Handover:
        """Send it to those recipients, whoever its headers name.

        ``then`` is called the moment that the server has taken it for somebody, before anything else can go wrong:
        a mail that has been taken is never said not to have been.
        Raises: MailRefusedError, MailDelayedError: nobody gets it.
        """
        with self._answers(recipients):
            smtp = self._connected()
        try:
            with self._answers(recipients):
                answers = smtp.send_message(message, message["From"].addresses[0].addr_spec, list(recipients))
            handover = _handover(recipients, answers)
            then(handover)
        finally:
            _close(smtp)
        return handover

    @contextmanager
    def _answers(self, recipients: Sequence[str]) -> Iterator[None]:
        """What smtplib raises, as one of our errors."""
        host = self._server.host
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            raise _nobody(_handover(recipients, error.recipients, nobody=True)) from error
        except SSLCertVerificationError as error:
            raise MailRefusedError(f"The certificate of {host}: {error.verify_message}.") from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailRefusedError(f"{host}: {error}") from error
        except smtplib.SMTPResponseException as error:
            kind = MailRefusedError if error.smtp_code >= 500 else MailDelayedError
            raise kind(f"{host}: {_answer(error.smtp_code, error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailDelayedError(f"{host}:{self._server.port}: {error}") from error

    def _connected(self) -> smtplib.SMTP:
        server, context = self._server, tls_context()
        if server.security is Security.TLS:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout, context=context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        try:
            if server.security is Security.STARTTLS:
                smtp.starttls(context=context)  # raises where it is not offered: never on in the clear
            if server.user:
                _log_in(smtp, server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    """Raises: smtplib's errors.

    smtplib's own ``login`` encodes to ASCII, and its UnicodeEncodeError repeats the password, for logs and records.
    """
    if user.isascii() and password.isascii():
        smtp.login(user, password)
        return
    # In UTF-8 there is PLAIN alone (RFC 4616).
    response = b64encode(f"\0{user}\0{password}".encode()).decode()
    smtp.ehlo_or_helo_if_needed()
    code, answer = smtp.docmd("AUTH", f"PLAIN {response}")
    if code != _LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _close(smtp: smtplib.SMTP) -> None:
    """Politely, where the server still listens. Whatever it says to that changes nothing."""
    with suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    smtp.close()


def _handover(
    recipients: Sequence[str], answers: Mapping[str, tuple[int, bytes]], *, nobody: bool = False
) -> Handover:
    refused = {to: _answer(code, text) for to, (code, text) in answers.items() if code >= 500}
    delayed = {to: _answer(code, text) for to, (code, text) in answers.items() if code < 500}
    others = [to for to in recipients if to not in answers]
    if nobody:  # the server has broken off before it had heard of these
        return Handover((), refused, delayed | dict.fromkeys(others, "not asked"))
    return Handover(tuple(others), refused, delayed)


def _nobody(handover: Handover) -> MailError:
    kind = MailDelayedError if handover.delayed else MailRefusedError
    answers = {**handover.refused, **handover.delayed}
    return kind("; ".join(f"{to}: {answer}" for to, answer in answers.items()), handover)


def _answer(code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(said.split())}"[:300]
