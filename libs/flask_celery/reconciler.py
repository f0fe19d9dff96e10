"""The worker's step that reconciles: one worker of a deployment at a time, from a thread of its own."""

import logging
import time
from datetime import timedelta
from typing import Any

from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from sqlalchemy.exc import DBAPIError

from libs.flask_celery.batches.then import submit_overdue
from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.completions import forget_completions
from libs.flask_celery.lease import RENEWALS_PER_TIMEOUT
from libs.flask_celery.reconcile import GRACE, Reconciliation, publish_again
from libs.flask_celery.worker_steps import ThreadStep, consumer_channel

logger = logging.getLogger(__name__)

LOCK = "taskgate-reconciler"

#: Seconds between two looks for completions that nobody needs any more, and how many are removed in one transaction.
FORGET_INTERVAL = 600.0
MOST_FORGOTTEN = 1_000


class Reconciler(ThreadStep):
    """Looks for lost jobs as often as leases are renewed."""

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        options = worker.app.conf.broker_transport_options or {}
        timeout = float(options.get("visibility_timeout", Channel.visibility_timeout))
        interval, grace = timeout / RENEWALS_PER_TIMEOUT, timeout * GRACE
        backend = worker.app.backend
        lock = Lock(
            backend.client, f"{backend.keys.prefix}{LOCK}", timeout=interval * 3, blocking=False, thread_local=False
        )
        reconciliation = Reconciliation(worker.app, grace=grace)
        forget_at = 0.0
        while not self.stopping.wait(interval):
            try:
                if _is_leader(lock):
                    channel = consumer_channel(worker)
                    if isinstance(channel, ClaimingChannelMixin):
                        reconciliation.run(channel)
                    publish_again(worker.app, older_than=grace)
                    submit_overdue(worker.app)
                    if time.monotonic() >= forget_at:
                        forget_at = time.monotonic() + FORGET_INTERVAL
                        _forget_completions(worker.app)
            except (RedisError, OperationalError, OSError) as error:
                logger.warning("Lost jobs could not be looked for: %r", error)
            except Exception:
                # Whatever it is, the next pass may succeed, and without a reconciler nobody looks.
                logger.exception("Lost jobs could not be looked for")
        _resign(lock)


def _forget_completions(celery_app: Any) -> None:
    """Those of jobs whose ids are not known any more, so that nobody can deliver them again."""
    backend = celery_app.backend
    known_for = timedelta(seconds=(backend.expires or 0) + backend.retention)
    try:
        while forget_completions(celery_app.flask_app, known_for, limit=MOST_FORGOTTEN) == MOST_FORGOTTEN:
            pass
    except DBAPIError as error:
        logger.warning("Old completions could not be removed: %r", error)


def _is_leader(lock: Lock) -> bool:
    if not lock.owned():
        return bool(lock.acquire())
    try:
        return bool(lock.reacquire())
    except LockError:  # it ran out in between
        return False


def _resign(lock: Lock) -> None:
    """So that another worker need not wait until the lock runs out."""
    try:
        if lock.owned():
            lock.release()
    except (RedisError, OSError) as error:
        logger.debug("The lock stays until it runs out: %r", error)
