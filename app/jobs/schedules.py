"""What beat submits of itself: Celery's ``beat_schedule``. Clients make their own over HTTP."""

from typing import Any

from libs.flask_celery import Cron

#: By name, such as ``"tidy": {"task": "reports.tidy", "schedule": Cron("30 4 * * *", "Europe/Berlin")}``; also
#: with ``args``, ``kwargs``, ``options`` and ``enabled``.
SCHEDULES: dict[str, dict[str, Any]] = {
    "alerts.email_alert": {"task": "alerts.email_alert", "schedule": Cron("0 10,17 * * *", "Asia/Shanghai")},
    # Each minute has one collection; the hour's last one is the head of a chord that ends with the hour's figures.
    # What no worker takes in time is measured no more: its minute is over.
    "monitoring.minute": {
        "task": "monitoring.collect_metrics",
        "schedule": Cron("0-58 * * * *"),
        "options": {"expires": 60},
    },
    "monitoring.hour": {
        "task": "monitoring.collect_and_aggregate",
        "schedule": Cron("59 * * * *"),
        "options": {"expires": 1_200},
    },
}
