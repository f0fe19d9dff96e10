"""The messages of a batch's jobs, byte for byte what publishing them one by one would push.

Celery takes a third of a millisecond to publish a message, nearly all of it for what is the same for every job of a
task. So a first one is published in earnest, caught before the push, and taken apart: what belongs to one job alone
is put in anew for each, by the script that accepts them (``accept_many_script``). Tasks whose messages may differ in
more than that are published one by one (``publishing.is_regular``).
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from celery import Task
from kombu.utils.json import JSONEncoder, dumps

from libs.flask_celery.delays import due_at
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.message_copy import BODY_END, BODY_START, compact, compacted, payload_of
from libs.flask_celery.publishing import publish_job
from libs.flask_celery.record_fields import pending_record
from libs.flask_celery.transport import messages_caught

#: As ``dumps``, which makes an encoder each time.
_encode = JSONEncoder().encode


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
        self._end_of_body = payload_of(message).decode().removeprefix(BODY_START + dumps(dict(params)))
        self._in_base64 = message["properties"].get("body_encoding", "base64") == "base64"
        headers = {**message["headers"], "eta": eta and eta.isoformat()}
        properties = {**message["properties"], "delivery_tag": self._tag}
        self.message = {**message, "body": self._body, "headers": headers, "properties": properties}
        # In the copy, the params stand as they are where the body says nothing else.
        params_place = "\nparams\n" if self._in_base64 and self._end_of_body == BODY_END else None
        copy = compacted(self.message, self.queue, params_place)
        texts = (compact(self.message), pending_record(headers, facts, self.queue), copy)
        #: What the script is told of it, but for its queue: task, eta, message, record and copy.
        self.arguments = (self.task, due_at(headers), *map(self._with_places, texts))

    def values(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """What belongs to one job alone, beside its id: its message's body as the message has it, and its params."""
        encoded = _encode(params)
        body = f"{BODY_START}{encoded}{self._end_of_body}"
        return base64.b64encode(body.encode()).decode() if self._in_base64 else str(dumps(body))[1:-1], encoded

    def _with_places(self, text: str) -> str:
        """With a line for each place of a value, which JSON has none of: the value's name in the script."""
        for mark, name in ((self._task_id, "id"), (self._tag, "tag"), (self._body, "body")):
            text = text.replace(mark, f"\n{name}\n")
        return text
