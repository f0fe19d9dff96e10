"""The product's Celery app with ``python_settings``; a worker of tests is started with ``-A`` this module."""

from app.jobs.celery_settings import CELERY_SETTINGS
from tests.notes.python_settings import SETTINGS

CELERY_SETTINGS.update(SETTINGS)

from libs.flask_celery import celery_app  # noqa: E402 - made with what the settings are by then

__all__ = ["celery_app"]
