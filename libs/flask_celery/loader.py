"""Celery's loader, told which result backends stand for Redis here."""

from celery.loaders.app import AppLoader


class JobLoader(AppLoader):  # type: ignore[misc]
    """Makes every Redis URL in ``result_backend`` mean this library's backend (``celery.app.backends.by_url``)."""

    override_backends = {  # noqa: RUF012 - Celery reads this very attribute
        "redis": "libs.flask_celery.backend:JobBackend",
        "rediss": "libs.flask_celery.backend:JobBackend",
        "sentinel": "libs.flask_celery.backend:SentinelJobBackend",
    }
