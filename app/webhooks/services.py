"""What the application knows of webhooks, put together: ``app.extensions["webhooks"]``."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flask import Flask

from app.extensions import db
from app.webhooks.address import check_url
from app.webhooks.delivery_log import DeliveryLog
from app.webhooks.publisher import WebhookPublisher
from app.webhooks.sending import Sender
from app.webhooks.settings import read_networks, read_waits
from app.webhooks.signing_secrets import SigningSecrets
from libs.flask_celery import JobRecord, JobRecords, JobState

if TYPE_CHECKING:
    from config import Config
    from libs.flask_celery import FlaskCelery

#: Principals of whom a process remembers that they have a signing secret.
_MOST_REMEMBERED = 10_000


class Webhooks:
    """Of one application.

    Args:
        represent: gives a job as its owner may see it; the HTTP side's, which this package knows nothing of.
    """

    def __init__(
        self,
        config: "Config",
        celery_app: "FlaskCelery",
        secret_keys: Callable[[], Sequence[str]],
        represent: Callable[[JobRecord], dict[str, Any]],
    ) -> None:
        self._celery = celery_app
        self._allow_http = config.webhook_allow_http
        self._allowed = read_networks(config.webhook_allow_private)
        self._with_secret: set[str] = set()
        self.delays = read_waits(config.webhook_retries)
        self.queue = config.webhook_queue or None
        self.represent = represent
        self.secrets = SigningSecrets(secret_keys)
        self.sender = Sender(config.webhook_timeout, self._allow_http, self._allowed)

    @property
    def log(self) -> DeliveryLog:
        """What was sent and is to be sent."""
        backend = self._celery.backend
        return DeliveryLog(backend.client, backend.keys.prefix)

    @property
    def records(self) -> JobRecords:
        """The jobs that webhooks tell of."""
        return self._celery.backend.records  # type: ignore[no-any-return]

    def state_of(self, task_id: str) -> JobState:
        """A job's state, also when its result has expired. Raises: UnknownJobError."""
        return self._celery.backend.state_of(task_id)  # type: ignore[no-any-return]

    def check(self, url: str) -> None:
        """Raises: ForbiddenUrlError."""
        check_url(url, allow_http=self._allow_http, allowed=self._allowed)

    def require_secret(self, principal: str) -> None:
        """See that the principal's webhooks can be signed before one is owed. Raises: SigningSecretError.

        Not left to the worker: without the API's ``SECRET_KEY`` it would make one that the API cannot show.
        """
        if principal in self._with_secret:
            return
        self.secrets.current(db.session(), principal)
        db.session.commit()
        if len(self._with_secret) >= _MOST_REMEMBERED:
            self._with_secret.clear()
        self._with_secret.add(principal)


def init_app(
    app: Flask,
    config: "Config",
    secret_keys: Callable[[], Sequence[str]],
    represent: Callable[[JobRecord], dict[str, Any]],
) -> None:
    """Give ``app`` its webhooks, and its workers the step that publishes deliveries. After ``make_celery``.

    Raises: ConfigError.
    """
    celery_app: FlaskCelery = app.extensions["celery"]
    app.extensions["webhooks"] = Webhooks(config, celery_app, secret_keys, represent)
    celery_app.steps["worker"].add(WebhookPublisher)  # API processes start no steps
