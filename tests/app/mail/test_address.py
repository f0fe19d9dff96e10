"""``SMTP_URL``, ``ALERT_FROM`` and ``ALERT_TO``: what they mean, what is refused, and that no password is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import create_app
from app.mail import MailSettings, Security, read_mail_settings
from config import Config, ConfigError, load_config

SENDER, TO = "Taskgate <taskgate@example.com>", "ops@example.com"
SECRET = "t0ps3cret"


def read(url: str, sender: str = SENDER, to: str = TO) -> MailSettings:
    settings = read_mail_settings(url, sender, to)
    assert settings is not None
    return settings


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtp://mail.example.com", 587, Security.STARTTLS),
        ("smtp://mail.example.com:2525/", 2525, Security.STARTTLS),
        ("smtp://mail.example.com?starttls=on", 587, Security.STARTTLS),
        ("smtps://mail.example.com", 465, Security.TLS),
        ("smtps://mail.example.com:4650", 4650, Security.TLS),
        ("smtp://mail.example.com?starttls=off", 25, Security.NONE),
    ],
)
def test_the_scheme_says_how_the_connection_is_protected(url: str, port: int, security: Security) -> None:
    server = read(url).server

    assert (server.host, server.port, server.security, server.user) == ("mail.example.com", port, security, "")


def test_user_and_password_are_decoded_and_shown_nowhere() -> None:
    server = read(f"smtp://me%40example.com:{SECRET}%2F%C3%A9@mail.example.com").server

    assert (server.user, server.password) == ("me@example.com", f"{SECRET}/é")
    assert SECRET not in repr(server)


def test_without_a_server_there_is_no_mail_whatever_else_is_set() -> None:
    assert read_mail_settings("", "not an address", "") is None


@pytest.mark.parametrize(
    "url",
    [
        f"mail.example.com:{SECRET}",
        f"http://me:{SECRET}@mail.example.com",
        f"smtp://me:{SECRET}@",
        f"smtp://me:{SECRET}@mail.example.com:99999",
        f"smtp://me:{SECRET}@mail.example.com:0",
        f"smtp://me:{SECRET}@mail.example.com/inbox",
        f"smtp://me:{SECRET}@mail.example.com#part",
        f"smtp://me:{SECRET}@mail.example.com?starttls=maybe",
        f"smtp://me:{SECRET}@mail.example.com?timeout=1",
        f"smtps://me:{SECRET}@mail.example.com?starttls=off",
        f"smtp://me:{SECRET}@mail.example.com?starttls=off",
        f"smtp://:{SECRET}@mail.example.com",
        "smtp://me@mail.example.com",
        f"smtp://me:{SECRET}%0D%0ANOOP@mail.example.com",
        f"smtp://me:{SECRET}/x@mail.example.com",
        f"smtp://[me:{SECRET}@mail.example.com",
        f"smtp://me:{SECRET}@mail..example.com",
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^SMTP_URL ") as refusal:
        read(url)

    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("sender", "to", "named"),
    [
        ("", TO, "ALERT_FROM"),
        ("nobody", TO, "ALERT_FROM"),
        ("a@example.com, b@example.com", TO, "ALERT_FROM"),
        ("a@example.com\r\nBcc: b@example.com", TO, "ALERT_FROM"),
        (SENDER, "", "ALERT_TO"),
        (SENDER, "ops@example.com, nobody", "ALERT_TO"),
        (SENDER, "ops@example.com\nBcc: b@example.com", "ALERT_TO"),
        (SENDER, "ops@example.com, ,", "ALERT_TO"),
        (SENDER, "öps@example.com", "ALERT_TO"),
        (SENDER, "<", "ALERT_TO"),
    ],
)
def test_addresses_that_cannot_be_used_are_named(sender: str, to: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named} "):
        read("smtp://mail.example.com", sender, to)


def test_recipients_may_have_names_and_count_once() -> None:
    recipients = read("smtp://h", to='"Ops, night" <ops@example.com>, ann@example.com,ops@example.com').recipients

    assert [one.addr_spec for one in recipients] == ["ops@example.com", "ann@example.com"]


def test_the_application_says_at_its_start_what_is_wrong_and_shows_no_password(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://me:{SECRET}@mail.example.com")
    loaded = load_config()

    assert SECRET not in repr(loaded)
    with pytest.raises(ConfigError, match=r"^ALERT_FROM "):
        create_app(replace(config, smtp_url=loaded.smtp_url))
