"""``SMTP_URL``, ``ALERT_FROM`` and ``ALERT_TO``: what is configured, checked at start."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from config import ConfigError

_WANTED = (
    "SMTP_URL wants smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 (TLS from the start) "
    "or, without a password, smtp://host:25?starttls=off. Write %40 for an @ in the password, and so on."
)


class Security(Enum):
    """How the connection is protected. There is no "if the server offers it": that is what an attacker takes away."""

    STARTTLS = "starttls"  # begins in the clear and goes on only once it is encrypted
    TLS = "tls"  # is encrypted from the first byte
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server; ``user`` is empty where none is to log in."""

    host: str
    port: int
    security: Security
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Where mail goes out, and the mail of alerts from whom to whom."""

    server: MailServer
    sender: Address
    recipients: tuple[Address, ...]


def read_mail_settings(url: str, sender: str, recipients: str) -> MailSettings | None:
    """None without an ``SMTP_URL``. Raises: ConfigError, which repeats nothing of the URL."""
    if not url:
        return None
    senders = _addresses("ALERT_FROM", sender)
    if len(senders) != 1:
        raise ConfigError("ALERT_FROM wants one address, since SMTP_URL is set: Taskgate <taskgate@example.com>.")
    to = _addresses("ALERT_TO", recipients)
    if not to:
        raise ConfigError("ALERT_TO wants addresses separated by commas, since SMTP_URL is set: ops@example.com.")
    return MailSettings(_read_server(url), senders[0], to)


def _read_server(url: str) -> MailServer:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as connecting does it, which would raise what nobody expects there
        security = _security(parts)
    except ValueError:
        raise ConfigError(_WANTED) from None  # the cause repeats the URL
    user, password = (unquote(text or "") for text in (parts.username, parts.password))
    is_whole = bool(host) and parts.path in ("", "/") and not parts.fragment and bool(user) == bool(password)
    if not is_whole or host is None or port == 0 or any(map(_has_control_characters, (host, user, password))):
        raise ConfigError(_WANTED)
    if user and security is Security.NONE:
        raise ConfigError("SMTP_URL has a password and starttls=off, which would send it for everyone to read.")
    return MailServer(host, port or _PORTS[security], security, user, password)


def _security(parts: SplitResult) -> Security:
    """Raises: ValueError."""
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    starttls = options.pop("starttls", "on")
    if options or starttls not in ("on", "off"):
        raise ValueError
    match parts.scheme:
        case "smtp":
            return Security.STARTTLS if starttls == "on" else Security.NONE
        case "smtps" if starttls == "on":
            return Security.TLS
    raise ValueError


def _addresses(setting: str, text: str) -> tuple[Address, ...]:
    wanted = f"{setting} wants addresses such as ops@example.com or Operators <ops@example.com>."
    message = EmailMessage(policy=SMTP)
    try:
        message["To"] = text
    except (ValueError, IndexError) as error:  # a line break among it, or what the parser stumbles over
        raise ConfigError(wanted) from error
    header = message["To"]
    found: tuple[Address, ...] = header.addresses
    if header.defects or any(not (one.username and one.domain and one.addr_spec.isascii()) for one in found):
        raise ConfigError(wanted)
    return tuple({one.addr_spec: one for one in found}.values())


def _has_control_characters(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)
