"""The site's Celery: ``celery -A django_site worker`` finds it here."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")

app = Celery("django_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# An app is the current one in the thread that made it. Django answers requests in other threads, where shared tasks
# would otherwise bind to Celery's fallback, an app without our settings (celery/_state.py, _get_current_app).
app.set_default()
