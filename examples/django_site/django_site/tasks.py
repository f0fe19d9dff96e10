"""The site's own tasks, which its own worker runs."""

import logging

from celery import shared_task
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

logger = logging.getLogger(__name__)


@shared_task(name="site.shout")
def shout(text: str) -> str:
    """The text, louder."""
    return f"{text.upper()}!"


@shared_task(name="site.count_visitors", ignore_result=True)
def count_visitors() -> None:
    """Log how many visitors have a session, and forget those whose session is over. Beat's."""
    call_command("clearsessions")
    logger.info("%d visitors", Session.objects.filter(expire_date__gt=timezone.now()).count())
