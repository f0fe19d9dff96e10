"""A Django site with a Celery of its own, beside Taskgate on one Redis."""

from django_site.celery import app as celery_app

__all__ = ["celery_app"]
