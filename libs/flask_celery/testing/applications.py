"""Applications for tests: built, and closed again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask

from libs.flask_celery.factory import FlaskCelery

#: kombu's pools are one for the process and cannot shrink while a connection is out, which that of another test's
#: application may be. So those of both roles are of one size here, as they would be in processes of their own.
ONE_POOL_SIZE = {"CELERY_BROKER_POOL_LIMIT": "64"}

_CLOSED_AT_THE_END = ("job_watch", "rate_limits")


@contextmanager
def built_app(create_app: Callable[[], Flask]) -> Iterator[Flask]:
    """An application with its tables, closed at the end so that nothing of it is left to the garbage collector."""
    app = create_app()
    db = app.extensions["sqlalchemy"]
    with app.app_context():
        db.create_all()
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()
        for name in _CLOSED_AT_THE_END:
            app.extensions[name].close()
        celery_app: FlaskCelery = app.extensions["celery"]
        celery_app.backend.client.close()
        celery_app.close()
