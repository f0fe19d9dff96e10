"""What beat submits of itself: Celery's ``beat_schedule``. Clients make their own over HTTP."""

from typing import Any

from libs.flask_celery import Cron

#: By name, such as ``"tidy": {"task": "reports.tidy", "schedule": Cron("30 4 * * *", "Europe/Berlin")}``; also
#: with ``args``, ``kwargs``, ``options`` and ``enabled``.
SCHEDULES: dict[str, dict[str, Any]] = {
    "alerts.email_alert": {"task": "alerts.email_alert", "schedule": Cron("0 10,17 * * *", "Asia/Shanghai")},
}
