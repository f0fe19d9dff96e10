"""The worker's step that publishes a Celery task for each delivery: ends of jobs, tests, and those asked for anew."""

import logging
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.webhooks.tasks import NAME
from libs.flask_celery import FIRST_HEADER, ThreadStep

if TYPE_CHECKING:
    from app.webhooks.services import Webhooks

logger = logging.getLogger(__name__)

#: Seconds between two looks when there is nothing to publish.
INTERVAL = 0.5

_AT_ONCE = 100


class WebhookPublisher(ThreadStep):
    """Each worker publishes what it has claimed. Of one that dies meanwhile another worker takes it over: a task has
    the id of its delivery and round, so that publishing it twice changes nothing.
    """

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        webhooks: Webhooks = worker.app.flask_app.extensions["webhooks"]
        pause = 0.0
        while not self.stopping.wait(pause):
            pause = INTERVAL
            try:
                if publish(worker.app, webhooks) == _AT_ONCE:
                    pause = 0.0
            except (RedisError, OperationalError, OSError) as error:
                logger.warning("Webhooks could not be queued: %r", error)
            except Exception:
                # Whatever it is, the next look may succeed, and without this step no webhook is sent.
                logger.exception("Webhooks could not be queued")


def publish(celery_app: Any, webhooks: "Webhooks") -> int:
    """Publish what is to be sent now, at most a hundred. Returns: how many."""
    claimed = webhooks.log.claim(_AT_ONCE)
    task = celery_app.tasks[NAME]
    for delivery_id, turn in claimed:
        task.apply_async(
            (delivery_id,),
            task_id=f"webhook-{delivery_id}-{turn}",
            queue=webhooks.queue,
            # Ahead of the jobs that wait: it is quickly done, and news of an end that has been.
            headers={FIRST_HEADER: "first"},
        )
        webhooks.log.published(delivery_id)
    return len(claimed)
