"""The worker's step that has the application remove files that are not wanted any more, as its results expire."""

import logging
from collections.abc import Iterator
from typing import Any, Protocol

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from libs.flask_celery.worker_steps import ThreadStep

logger = logging.getLogger(__name__)

CLAIM = "taskgate-file-sweep"

#: Seconds between two looks whether a pass is due, at the most.
_LONGEST_PAUSE = 30.0

#: Milliseconds for which the claim outlasts a step of a pass, and a worker that was killed in one.
_LONGEST_STEP = 60_000


class JobFileSweep(Protocol):
    """What the application registers as ``app.extensions["job_file_sweep"]``."""

    @property
    def interval(self) -> float:
        """Seconds from one pass to the next."""

    def here(self) -> None:
        """Clean this host, which no other can."""

    def run(self) -> Iterator[None]:
        """One pass, which may take long, in steps that do not. Called in the application's context."""


class FileSweeper(ThreadStep):
    """Of all workers one makes the pass: the first to claim it. The claim lasts until the next one is due."""

    def run(self, worker: Any) -> None:
        """Look whether a pass is due, and look again."""
        sweep: JobFileSweep | None = worker.app.flask_app.extensions.get("job_file_sweep")
        if sweep is None:
            return
        while not self.stopping.wait(min(sweep.interval, _LONGEST_PAUSE)):
            try:
                sweep.here()
                self._sweep(worker.app, sweep)
            except (RedisError, DBAPIError, OSError) as error:
                logger.warning("Old files could not be removed: %r", error)
            except Exception:
                # Whatever it is, the next pass may succeed, and without one the disk fills up.
                logger.exception("Old files could not be removed")

    def _sweep(self, celery_app: Any, sweep: JobFileSweep) -> None:
        client, claim = celery_app.backend.client, f"{celery_app.backend.keys.prefix}{CLAIM}"
        interval = round(sweep.interval * 1000)
        meanwhile = max(interval, _LONGEST_STEP)
        if not client.set(claim, "", nx=True, px=meanwhile):
            return
        try:
            with celery_app.flask_app.app_context():
                for _ in sweep.run():
                    if self.stopping.is_set():
                        interval = 1  # another worker may go on with what is left
                        return
                    client.set(claim, "", px=meanwhile)
        finally:
            client.set(claim, "", px=interval)
