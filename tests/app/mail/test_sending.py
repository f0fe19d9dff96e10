"""Handing a mail over to a real SMTP server: encrypted and logged in or not at all, and what it answers."""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from app.mail import Handover, MailDelayedError, Mailer, MailRefusedError, read_mail_settings
from app.outgoing import tls_context
from tests.mail_server import LOGIN, PASSWORD, USER, MailServer, mail_server, make_certificate

A, B, C = "a@example.com", "b@example.com", "c@example.com"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As an operator with a private authority says it. Read once by each process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.fixture
def server(certificate: Path) -> Iterator[MailServer]:
    with mail_server(certificate) as server:
        yield server


def mailer(url: str, timeout: float = 10.0) -> Mailer:
    settings = read_mail_settings(url, "taskgate@example.com", A)
    assert settings is not None
    return Mailer(settings.server, timeout=timeout)


def a_mail() -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "Taskgate <taskgate@example.com>", A, "Test"
    message.set_content("Hello\n.\nstill here\n")
    return message


def send(url: str, *recipients: str, timeout: float = 10.0) -> Handover:
    told: list[Handover] = []
    handover = mailer(url, timeout).send(a_mail(), recipients or (A,), then=told.append)
    assert told == [handover]
    return handover


def refused(url: str) -> str:
    with pytest.raises(MailRefusedError) as refusal:
        mailer(url).send(a_mail(), [A], then=lambda _: pytest.fail("nothing was taken"))
    assert PASSWORD not in str(refusal.value)
    return str(refusal.value)


def delayed(url: str, timeout: float = 10.0) -> str:
    with pytest.raises(MailDelayedError) as delay:
        mailer(url, timeout).send(a_mail(), [A], then=lambda _: pytest.fail("nothing was taken"))
    return str(delay.value)


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["STARTTLS", "TLS from the start"])
def test_it_is_encrypted_and_logged_in(certificate: Path, implicit_tls: bool) -> None:
    with mail_server(certificate, implicit_tls=implicit_tls) as server:
        handover = send(server.url, A, B)

    [mail] = server.received
    assert (mail.encrypted, mail.user, mail.recipients) == (True, USER, [A, B])
    assert (handover.taken, handover.refused, handover.delayed) == ((A, B), {}, {})
    assert mail.part("plain") == "Hello\n.\nstill here\n"


def test_a_password_may_have_any_letters_and_is_repeated_by_no_error(server: MailServer) -> None:
    server.password = "pässwörd"
    url = server.url.replace(LOGIN, "taskgate%40example.com:p%C3%A4ssw%C3%B6rd")

    assert send(url).taken == (A,)
    [mail] = server.received
    assert mail.user == USER

    server.password = "changed"
    with pytest.raises(MailRefusedError, match="535") as refusal:
        mailer(url).send(a_mail(), [A], then=lambda _: pytest.fail("nothing was taken"))
    assert "pässwörd" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["STARTTLS", "TLS from the start"])
def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password_is_said(
    certificate: Path, implicit_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(certificate, implicit_tls=implicit_tls) as server:
        assert "certificate" in refused(server.url)

    assert server.received == []


def test_a_certificate_of_another_name_is_refused(server: MailServer) -> None:
    assert "certificate" in refused(server.url.replace("127.0.0.1", "localhost"))


def test_a_server_without_starttls_gets_neither_password_nor_mail(certificate: Path) -> None:
    """As one that an attacker in between makes look so."""
    with mail_server(certificate, starttls=False) as server:
        assert "STARTTLS" in refused(server.url)

    assert server.received == []


def test_in_the_clear_only_when_asked_for(certificate: Path) -> None:
    with mail_server(certificate, starttls=False) as server:
        send(f"smtp://127.0.0.1:{server.port}?starttls=off")

    assert [mail.encrypted for mail in server.received] == [False]


def test_a_wrong_password_is_refused_for_good(server: MailServer) -> None:
    assert "535" in refused(f"smtp://me:wrong@127.0.0.1:{server.port}")


def test_of_several_recipients_each_has_an_answer_of_its_own(server: MailServer) -> None:
    server.answers = {B: "550 No such\x07 user", C: "450 Greylisted"}

    handover = send(server.url, A, B, C)

    assert (handover.taken, dict(handover.delayed)) == ((A,), {C: "450 Greylisted"})
    assert handover.refused[B].startswith("550 No such")
    assert [mail.recipients for mail in server.received] == [[A]]


def test_when_nobody_is_taken_it_counts_whether_that_may_change(server: MailServer) -> None:
    server.answers = {A: "550 No", B: "550 No"}
    with pytest.raises(MailRefusedError, match="550 No") as refusal:
        send(server.url, A, B)
    assert refusal.value.handover is not None
    assert refusal.value.handover.refused.keys() == {A, B}

    server.answers = {A: "550 No", B: "450 Later"}
    with pytest.raises(MailDelayedError) as delay:
        send(server.url, A, B)
    assert delay.value.handover is not None
    assert (delay.value.handover.refused.keys(), delay.value.handover.delayed.keys()) == ({A}, {B})


def test_a_server_that_breaks_off_among_the_recipients_has_refused_none_of_the_rest(server: MailServer) -> None:
    server.answers = {A: "421 Closing"}

    with pytest.raises(MailDelayedError) as delay:
        send(server.url, A, B)

    assert delay.value.handover is not None
    assert dict(delay.value.handover.delayed) == {A: "421 Closing", B: "not asked"}


def test_the_content_can_be_refused_for_now_and_for_good(server: MailServer) -> None:
    server.data_answer = "554 Spam"
    assert "554 Spam" in refused(server.url)
    server.data_answer = "452 Full"
    assert "452 Full" in delayed(server.url)


def test_what_is_said_after_the_mail_was_taken_changes_nothing(server: MailServer) -> None:
    server.quit_answer = "554 I have changed my mind"

    assert send(server.url).taken == (A,)


def test_an_absent_a_silent_and_a_babbling_server_are_tried_again_later(server: MailServer) -> None:
    server.stop()
    assert f"127.0.0.1:{server.port}" in delayed(server.url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delayed(f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as babbling:

        def babble() -> None:
            connection, _ = babbling.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        delayed(f"smtp://127.0.0.1:{babbling.getsockname()[1]}", timeout=5)
        thread.join()


def test_a_note_that_fails_is_not_taken_for_a_server_that_does(server: MailServer) -> None:
    def note(_: Handover) -> None:
        raise ConnectionResetError("the database is away")

    with pytest.raises(ConnectionResetError):
        mailer(server.url).send(a_mail(), [A], then=note)


def test_tls_is_verified_by_default() -> None:
    context = tls_context()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
