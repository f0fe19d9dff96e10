"""Mail: where it goes out, from whom, to whom, and handing one over to an SMTP server.

Python's own ``email`` and ``smtplib``: the packages around them (Flask-Mail, Flask-Mailman) check no certificate and
tell neither which recipients were refused nor whether for good.
"""

from app.mail.address import MailServer, MailSettings, Security, read_mail_settings
from app.mail.sending import Handover, MailDelayedError, Mailer, MailError, MailRefusedError

__all__ = [
    # Settings
    "MailServer", "MailSettings", "Security", "read_mail_settings",
    # Sending
    "Handover", "Mailer",
    # Errors
    "MailDelayedError", "MailError", "MailRefusedError",
]  # fmt: skip
