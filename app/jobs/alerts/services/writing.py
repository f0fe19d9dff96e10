"""A digest as a mail: plain text and HTML of the same content."""

from datetime import UTC, datetime, tzinfo
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.jobs.alerts.services.digest import Digest

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_mail(
    digest: Digest,
    *,
    message_id: str,
    sender: Address,
    recipients: tuple[Address, ...],
    service: str,
    timezone: tzinfo,
) -> EmailMessage:
    """Its headers hold counts and what is configured, nothing that a job has said.

    Args:
        service: what the mail calls the installation.
        timezone: of the times in it.
    """
    # smtplib sends what is of 8 bits without having asked whether the server takes it (RFC 6152).
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["Subject"] = f"[{service}] {_summary(digest)}"
    message["From"] = sender
    message["To"] = recipients
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id
    # So that no holiday notice answers it (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    values = {"digest": digest, "service": service, "summary": _summary(digest), "counted": _counted}
    values |= {"at": lambda moment: _at(moment, timezone), "zone": str(timezone)}
    message.set_content(_templates.get_template("digest.txt").render(values))
    message.add_alternative(_templates.get_template("digest.html").render(values), subtype="html")
    return message


def _summary(digest: Digest) -> str:
    return ", ".join(_counted(count, name) for name, count in digest.counts.items())


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _at(moment: datetime, timezone: tzinfo) -> str:
    return moment.astimezone(timezone).strftime("%Y-%m-%d %H:%M:%S")
