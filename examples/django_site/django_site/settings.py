"""Django's settings and, as ``CELERY_…``, those of the site's Celery. What differs by host is in the environment."""

import os
import secrets
from pathlib import Path
from urllib.parse import quote

SITE_DIR = Path(__file__).parents[1]
DATA_DIR = Path(os.environ.get("SITE_DATA_DIR", SITE_DIR / "var"))
DATA_DIR.mkdir(parents=True, exist_ok=True)

#: The Redis of `make run`, unless told otherwise.
REDIS_URL = (
    os.environ.get("REDIS_URL") or f"redis+socket://{quote(str(SITE_DIR.parents[1] / 'var/redis/redis.sock'))}"
)

# Django

#: Made anew by each process that is given none, which signs everybody's forms anew: more than one process needs one.
SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(48)
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")

INSTALLED_APPS = ["django.contrib.sessions", "django_site"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "django_site.urls"
WSGI_APPLICATION = "django_site.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "site.sqlite3"}}
SESSION_COOKIE_AGE = 86_400  # seconds
USE_TZ = True
TIME_ZONE = "UTC"  # of this site's pages; Django's default is Chicago's

# Celery


def redis_database(number: int) -> str:
    """The address of one database of the Redis. A socket's is its ``virtual_host``."""
    if REDIS_URL.startswith("redis+socket:"):
        return f"{REDIS_URL}?virtual_host={number}"
    return f"{REDIS_URL.rstrip('/')}/{number}"


# The databases are Taskgate's, so that a message finds its worker and its result comes back.
CELERY_BROKER_URL = redis_database(2)
CELERY_RESULT_BACKEND = redis_database(1)
CELERY_RESULT_EXPIRES = 86_400  # seconds

# A queue of the site's own. Its worker consumes no other one, and no worker of Taskgate consumes this one.
CELERY_TASK_DEFAULT_QUEUE = "django_site"

# What the site's worker has taken and not finished is kept under names of its own. Under kombu's default names
# Taskgate's workers would see it too and, since a stock worker renews no leases, give it back after 30 seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "unacked_key": "django_site.unacked",
    "unacked_index_key": "django_site.unacked_index",
    "unacked_mutex_key": "django_site.unacked_mutex",
}

# `celery inspect`, `control` and `events` reach the workers of the same names: here the site's, there Taskgate's.
CELERY_CONTROL_EXCHANGE = "django_site.control"
CELERY_EVENT_EXCHANGE = "django_site.events"
CELERY_EVENT_QUEUE_PREFIX = "django_site.events"

CELERY_BEAT_SCHEDULE = {
    "count visitors": {"task": "site.count_visitors", "schedule": float(os.environ.get("COUNT_VISITORS_EVERY", "60"))}
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
