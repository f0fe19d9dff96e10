"""The message of a job as text with gaps: byte for byte what Celery would push, without asking it each time.

Nearly all of what Celery and kombu do to publish a message is the same for every job of a task. So the first one is
made in earnest, caught before the push, and taken apart; what is a job's own is put into the gaps. Tasks whose
messages may differ in more than that have none (``publishing.is_regular``).
"""

import base64
import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _text
from operator import itemgetter
from typing import Any
from uuid import uuid4

from kombu.utils.json import JSONEncoder, dumps

from libs.flask_celery.acceptance import Publication
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.message_copy import compacted, payload_of
from libs.flask_celery.random_uuids import random_uuid
from libs.flask_celery.record_fields import pending_meta

#: Before the params in a serialised body, which is ``[args, kwargs, embed]``.
_BODY_START = "[[], "

#: As ``dumps``, which makes an encoder each time.
_encode = JSONEncoder().encode


class ReadyMessage:
    """Of the jobs of one task that are published with the same options and are to run at once.

    Args:
        message: one of them, as it would have been pushed to ``queue``.
        params: of that job.
    """

    def __init__(self, message: Mapping[str, Any], queue: str, params: Mapping[str, Any]) -> None:
        self.queue = queue
        self._task = message["headers"]["task"]
        self._body_end = payload_of(message).decode().removeprefix(_BODY_START + dumps(dict(params)))
        self._in_base64 = message["properties"].get("body_encoding", "base64") == "base64"
        gaps = self._id, self._tag, self._body, self._facts, self._owner, self._request = (
            *(str(uuid4()), str(uuid4()), str(uuid4())),
            *(f'"{uuid4()}"', f'"{uuid4()}"', f'"{uuid4()}"'),
        )
        self._submitted = "1234567890123"
        headers = _renamed(message["headers"], message["headers"]["id"], self._id)
        headers[HEADER] = self._facts.strip('"')
        whole = {
            **message,
            "body": self._body,
            "headers": headers,
            "properties": _renamed(message["properties"], message["headers"]["id"], self._id)
            | {"delivery_tag": self._tag},
        }
        facts = SubmissionFacts(int(self._submitted), self._owner.strip('"'), self._request.strip('"'))
        record = pending_meta(headers, facts, queue)
        marks = re.compile(f"({'|'.join((*gaps, self._submitted))})")
        self._message, self._record, self._copy = (
            _Template(text, marks) for text in (dumps(whole), dumps(record), compacted(whole, queue))
        )

    def publication(self, task_id: str, params: Mapping[str, Any], facts: SubmissionFacts) -> Publication:
        """Of the job of these params."""
        gaps = {
            self._id: task_id,
            self._tag: random_uuid(),
            self._body: self._encoded(params),
            self._facts: facts.to_json(),
            self._owner: _text(facts.owner),
            self._request: "null" if facts.request_id is None else _text(facts.request_id),
            self._submitted: str(facts.submitted_at),
        }
        return Publication(
            task_id=task_id,
            task=self._task,
            queue=self.queue,
            eta=0,
            message=self._message.filled(gaps),
            record=self._record.filled(gaps),
            copy=self._copy.filled(gaps),
            facts=facts,
        )

    def _encoded(self, params: Mapping[str, Any]) -> str:
        body = f"{_BODY_START}{_encode(params)}{self._body_end}"
        return base64.b64encode(body.encode()).decode() if self._in_base64 else _text(body)[1:-1]


class _Template:
    """A text whose marks are to be replaced."""

    def __init__(self, text: str, marks: re.Pattern[str]) -> None:
        parts = marks.split(text)
        self._format = "%s".join(part.replace("%", "%%") for part in parts[::2])
        self._values = itemgetter(*parts[1::2])

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with these values, by mark."""
        return str(self._format % self._values(values))


def _renamed(fields: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {name: new if value == old else value for name, value in fields.items()}
