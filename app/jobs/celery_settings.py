"""What the application sets of Celery in Python: what no text in the environment can say, which is stronger."""

from typing import Any

#: By Celery's names, such as ``"task_queues": [Queue("compute", Exchange("jobs", type="topic"), "compute.#")]`` or
#: ``"task_annotations": {"*": {"on_failure": tell_the_team}}``.
CELERY_SETTINGS: dict[str, Any] = {}
