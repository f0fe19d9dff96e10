"""The scheduler of ``celery beat``: redbeat, with due times that are kept, run once, and not lost.

redbeat decides by the time of the last run, writes that down before it publishes, and gives up when Redis or its lock
is gone for a moment. Here a schedule has a due time; its job is published under a task id made from that time; only
then the next due time is written, if nobody has changed the schedule meanwhile. So a beat may be killed anywhere, and
two may even run at once.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from kombu.exceptions import OperationalError
from redbeat import RedBeatScheduler
from redis.exceptions import RedisError

from libs.flask_celery.errors import FlaskCeleryError, InvalidParamsError, UnknownTaskError
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.schedules.due_times import as_time, turn_of
from libs.flask_celery.schedules.firing import submit_due
from libs.flask_celery.schedules.in_code import install
from libs.flask_celery.schedules.lead import Lead
from libs.flask_celery.schedules.schedule import Schedule, read_schedule
from libs.flask_celery.schedules.schedules import UNREADABLE, ScheduleKeys
from libs.flask_celery.schedules.scripts import ADVANCE
from libs.flask_celery.server_script import run_script

logger = logging.getLogger(__name__)

#: Schedules looked at before beat sees to its lead and its signals again.
BATCH = 100

#: Seconds until a due time is tried again whose job was not accepted.
TRY_AGAIN = 5

#: The lead passes on when it was not renewed for so many loop intervals.
_PATIENCE = 10


class JobScheduler(RedBeatScheduler):  # type: ignore[misc]
    """``beat_scheduler`` of the Celery app that ``make_celery`` builds."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        # What redbeat would do with its lock when beat starts (``beat_init``) is done by ``tick``.
        self.lock_key = None
        self.lock_timeout = _PATIENCE * self.max_interval
        self._keys = ScheduleKeys(app.backend.keys.prefix)
        self._lead = Lead(app.redbeat_redis, self._keys.lock, self.lock_timeout)
        self._is_installed = False
        self._is_away = False

    def setup_schedule(self) -> None:
        """Nothing yet: those in code are written by the beat that leads, so that one that waits changes nothing."""

    def tick(self, *_: Any, **__: Any) -> float:
        """See to what is due. Returns: seconds until the next time."""
        try:
            wait = self._tick()
        except (RedisError, OSError, OperationalError) as error:
            if not self._is_away:
                logger.warning("Redis does not answer; beat goes on when it does: %r", error)
            self._is_away = True
            return float(self.max_interval)
        self._is_away = False
        return wait

    def _tick(self) -> float:
        if not self._lead.hold():
            self._is_installed = False
            return float(self.max_interval)
        if not self._is_installed:
            install(self.app)
            self._is_installed = True
        client = self.app.redbeat_redis
        due = client.zrangebyscore(self._keys.by_due, 0, time.time(), start=0, num=BATCH, withscores=True)
        for key, look_at in due:
            if not self._lead.keep():
                return 0.0
            self._see_to(key, round(look_at * 1000))
        if len(due) == BATCH:
            return 0.0
        coming = client.zrangebyscore(self._keys.by_due, 0, "+inf", start=0, num=1, withscores=True)
        wait = coming[0][1] - time.time() if coming else self.max_interval
        return float(min(max(wait, 0.0), self.max_interval))

    def _see_to(self, key: str, look_at: int) -> None:
        """One schedule that is due. What is wrong with it is written down there, and the others go on."""
        fields = self.app.redbeat_redis.hgetall(key)
        if not fields:
            self.app.redbeat_redis.zrem(self._keys.by_due, key)
            return
        # One that redbeat's own API has written has its due time in the set alone.
        due = int(fields.get("due") or look_at)
        try:
            schedule = read_schedule(fields)
            turn = turn_of(schedule.timing, due, now_ms(), self.app.schedule_grace * 1000)
        except UNREADABLE as error:
            logger.exception("The schedule %s cannot be read", key)
            self._advance(key, due, following=None, error=f"It cannot be read: {error}")
            return
        if not schedule.enabled:
            self._advance(key, due, following=None)
        elif due > now_ms():  # it is looked at too early, having been saved anew by redbeat's API
            self._advance(key, due, following=due)
        elif turn.run is None:
            logger.warning("Schedule %s was due at %s, too long ago to run now", schedule.id, as_time(due))
            self._advance(key, due, following=turn.following, missed=due)
        else:
            self._run(key, schedule, due, turn.run, turn.following)

    def _run(self, key: str, schedule: Schedule, due: int, run: int, following: int | None) -> None:
        try:
            task_id = submit_due(self.app, schedule, run)
        except (UnknownTaskError, InvalidParamsError, TypeError, ValueError) as error:
            logger.warning("Schedule %s submits nothing: %s", schedule.id, error)
            self._advance(key, due, following=following, error=str(error))
        except (RedisError, OperationalError):
            raise
        except Exception as error:
            # A limit, the database, an option that Celery does not take: that may pass while its time is not over.
            logger.exception("The job of schedule %s was not accepted; trying again", schedule.id)
            text = str(error) if isinstance(error, FlaskCeleryError) else type(error).__name__
            again = now_ms() + TRY_AGAIN * 1000
            self._advance(key, due, following=due, look_at=again, error=text)
        else:
            logger.info("Schedule %s (%s), due %s: job %s", schedule.id, schedule.task, as_time(run), task_id)
            meta = schedule.meta_after_run(datetime.now(UTC))
            self._advance(key, due, following=following, meta=meta, task_id=task_id)

    def _advance(
        self,
        key: str,
        due: int,
        *,
        following: int | None,
        look_at: int | None = None,
        meta: str = "",
        task_id: str = "",
        error: str = "",
        missed: int | None = None,
    ) -> None:
        look_at = following if look_at is None else look_at
        arguments = [due, *("" if at is None else at for at in (following, look_at)), meta, task_id, error]
        arguments.append("" if missed is None else missed)
        run_script(self.app.redbeat_redis, ADVANCE, [key, self._keys.by_due], arguments)

    def close(self) -> None:
        """Hand the lead over."""
        try:
            self._lead.give_up()
        except (RedisError, OSError) as error:
            logger.warning("Another beat takes over in %g s: %r", self.lock_timeout, error)
        super().close()

    @property
    def info(self) -> str:
        """For beat's banner."""
        return f"    . lead -> {self._keys.lock}, passes on after {self.lock_timeout:g} s"
