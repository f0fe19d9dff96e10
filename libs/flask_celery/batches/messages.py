"""The messages of a batch's jobs, byte for byte what publishing them one by one would push.

Celery takes a third of a millisecond to publish a message, nearly all of it for what is the same for every job of a
task. So a first one is published in earnest, caught before the push, and taken apart: what belongs to one job alone
is put in anew for each, by the script that accepts them (``accept_many_script``). Tasks whose messages may differ in
more than that are published one by one (``publishing.is_regular``).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from celery import Task

from libs.flask_celery.delays import due_at
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.message_copy import compact, compacted
from libs.flask_celery.publishing import publish_job
from libs.flask_celery.ready_messages import ReadyBody
from libs.flask_celery.record_fields import pending_record
from libs.flask_celery.transport import messages_caught


class MessageTemplate:
    """The messages of one task's jobs that are published with the same options and for the same time."""

    def __init__(
        self,
        task: Task,
        params: Mapping[str, Any],
        facts: SubmissionFacts,
        options: Mapping[str, Any],
        eta: datetime | None,
    ) -> None:
        """``params``: of any job of the task. Raises: what publishing that job would."""
        self._task_id, self._tag, self._body = (str(uuid4()) for _ in range(3))
        with messages_caught() as caught:
            publish_job(task, params, self._task_id, facts, **options)
        [(message, self.queue)] = caught
        self.task = task.name
        self._ready_body = ReadyBody(message, params)
        headers = {**message["headers"], "eta": eta and eta.isoformat()}
        properties = {**message["properties"], "delivery_tag": self._tag}
        self.message = {**message, "body": self._body, "headers": headers, "properties": properties}
        params_place = "\nparams\n" if self._ready_body.is_params_alone else None
        copy = compacted(self.message, self.queue, params_place)
        texts = (compact(self.message), pending_record(headers, facts, self.queue), copy)
        #: What the script is told of it, but for its queue: task, eta, message, record and copy.
        self.arguments = (self.task, due_at(headers), *map(self._with_places, texts))

    def values(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """What belongs to one job alone, beside its id: its message's body as the message has it, and its params."""
        return self._ready_body.with_params(params)

    def _with_places(self, text: str) -> str:
        """With a line for each place of a value, which JSON has none of: the value's name in the script."""
        for mark, name in ((self._task_id, "id"), (self._tag, "tag"), (self._body, "body")):
            text = text.replace(mark, f"\n{name}\n")
        return text
