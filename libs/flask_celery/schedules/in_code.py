"""The schedules of ``beat_schedule``, written to where all schedules are."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from celery.schedules import BaseSchedule

from libs.flask_celery.ledger import now_ms
from libs.flask_celery.schedules.due_times import first_due
from libs.flask_celery.schedules.schedule import Schedule, ScheduleSource, read_schedule
from libs.flask_celery.schedules.schedules import UNREADABLE, ScheduleKeys
from libs.flask_celery.schedules.scripts import INSTALL
from libs.flask_celery.schedules.stored import as_timing
from libs.flask_celery.server_script import run_script

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

logger = logging.getLogger(__name__)


def install(celery_app: "FlaskCelery") -> None:
    """Write those that ``beat_schedule`` names and drop those that it names no longer.

    One that has not changed keeps its due time, so that a restart neither skips nor repeats. One that cannot be used
    is logged, and the others go on. Raises: redis-py's connection errors.
    """
    client = celery_app.redbeat_redis
    keys = ScheduleKeys(celery_app.backend.keys.prefix)
    named = celery_app.conf.beat_schedule or {}
    for name in client.smembers(keys.in_code) - set(named):
        logger.info("Schedule %s is in the code no longer", name)
        with client.pipeline() as pipe:
            pipe.zrem(keys.by_due, keys.schedule(name))
            pipe.delete(keys.schedule(name))
            pipe.srem(keys.in_code, name)
            pipe.execute()
    for name, entry in named.items():
        try:
            schedule = _schedule(celery_app, name, dict(entry))
            definition = schedule.definition()
        except UNREADABLE:
            logger.exception("The schedule %r of beat_schedule cannot be used", name)
            continue
        due = first_due(schedule.timing, now_ms()) if schedule.enabled else None
        arguments = [name, definition, schedule.about(), "" if due is None else due]
        is_other = _timing(client.hgetall(keys.schedule(name))) != schedule.timing
        key_names = [keys.schedule(name), keys.by_due, keys.in_code]
        run_script(client, INSTALL, key_names, [*arguments, "1" if is_other else ""])


def _schedule(celery_app: "FlaskCelery", name: str, entry: dict[str, object]) -> Schedule:
    made = Schedule(
        id=name,
        task=str(entry.pop("task")),
        timing=as_timing(entry.pop("schedule"), celery_app.conf.timezone or "UTC"),
        source=ScheduleSource.CODE,
    )
    params, options = entry.pop("kwargs", None) or {}, entry.pop("options", None) or {}
    made = replace(made, params=params, options=options, args=tuple(entry.pop("args", None) or ()))  # type: ignore[arg-type]
    made = replace(made, enabled=bool(entry.pop("enabled", True)))
    entry.pop(
        "relative", None
    )  # of intervals by Celery's own reckoning; here they are counted from due time to due time
    if entry:
        raise ValueError(f"unknown: {', '.join(sorted(entry))}")
    return made


def _timing(fields: dict[str, str]) -> BaseSchedule | None:
    try:
        return read_schedule(fields).timing if fields else None
    except UNREADABLE:
        return None
