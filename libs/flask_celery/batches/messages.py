"""The messages of a batch's jobs, byte for byte what publishing them one by one would push.

Celery takes a third of a millisecond to publish a message, nearly all of it for what is the same for every job of a
task. So a first one is published in earnest, caught before the push, and taken apart: what belongs to one job alone
is put in anew for each. Tasks whose messages may differ in more than that are published one by one
(``publishing.is_regular``).
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from celery import Task
from kombu.utils.json import JSONEncoder, dumps

from libs.flask_celery.delays import due_at
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.message_copy import compacted, payload_of
from libs.flask_celery.publishing import publish_job
from libs.flask_celery.record_fields import pending_meta
from libs.flask_celery.transport import messages_caught

#: Before the params in a serialised body, which is ``[args, kwargs, embed]``.
_BODY_START = "[[], "

#: As ``dumps``, which makes an encoder each time.
_encode = JSONEncoder().encode


@dataclass(frozen=True, slots=True)
class JobMessage:
    """What is stored for one job when it is accepted."""

    task_id: str
    message: str
    record: str
    copy: str
    eta: float


class MessageTemplate:
    """The messages of one task's jobs that are published with the same options, but for a time."""

    def __init__(
        self, task: Task, params: Mapping[str, Any], facts: SubmissionFacts, options: Mapping[str, Any]
    ) -> None:
        """``params``: of any job of the task. Raises: what publishing that job would."""
        self._task_id, self._tag, self._body = (str(uuid4()) for _ in range(3))
        with messages_caught() as caught:
            publish_job(task, params, self._task_id, facts, **options)
        [(message, self.queue)] = caught
        self.message = message
        self._facts = facts
        self._marks = re.compile(f"({self._task_id}|{self._tag}|{self._body})")
        self._end_of_body = payload_of(message).decode().removeprefix(_BODY_START + dumps(dict(params)))
        self._in_base64 = message["properties"].get("body_encoding", "base64") == "base64"
        self._parts = self._taken_apart(eta=None)

    def job(self, task_id: str, params: Mapping[str, Any], eta: datetime | None) -> JobMessage:
        """What is stored for the job of these params, which is to run at once or at a time."""
        parts = self._parts if eta is None else self._taken_apart(eta.isoformat())
        values = {self._body: self._encoded(params), self._task_id: task_id, self._tag: str(uuid4())}
        message, record, copy = ("".join([values.get(part, part) for part in text]) for text in parts)
        return JobMessage(task_id, message, record, copy, due_at({"eta": eta and eta.isoformat()}))

    def _encoded(self, params: Mapping[str, Any]) -> str:
        body = f"{_BODY_START}{_encode(params)}{self._end_of_body}"
        return base64.b64encode(body.encode()).decode() if self._in_base64 else str(dumps(body))[1:-1]

    def _taken_apart(self, eta: str | None) -> tuple[list[str], ...]:
        """Message, record and copy, each as text between the marks, and the marks."""
        headers = {**self.message["headers"], "eta": eta}
        properties = {**self.message["properties"], "delivery_tag": self._tag}
        message = {**self.message, "body": self._body, "headers": headers, "properties": properties}
        record = pending_meta(headers, self._facts, self.queue)
        texts = (dumps(message), dumps(record), compacted(message, self.queue))
        return tuple(self._marks.split(text) for text in texts)
