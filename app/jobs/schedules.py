"""What beat submits of itself: Celery's ``beat_schedule``. Clients make their own over HTTP."""

from typing import Any

#: By name, such as ``"digest": {"task": "alerts.digest", "schedule": Cron("0 10,17 * * *", "Asia/Shanghai")}``; also
#: with ``args``, ``kwargs``, ``options`` and ``enabled``.
SCHEDULES: dict[str, dict[str, Any]] = {}
