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
from libs.flask_celery.message_copy import BODY_END, BODY_START, compact, compacted, facts_in_copy, payload_of
from libs.flask_celery.random_uuids import random_uuid
from libs.flask_celery.record_fields import pending_record
from libs.kept_encoder import kept

#: As ``dumps``, which makes an encoder each time.
_encode = kept(JSONEncoder())


class ReadyBody:
    """A message's serialised body, which is ``[args, kwargs, embed]``, with a gap where its job's params stand.

    Args:
        message: of a job, as it would have been pushed.
        params: of that job.
    """

    def __init__(self, message: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self._end = payload_of(message).decode().removeprefix(BODY_START + dumps(dict(params)))
        self._in_base64 = message["properties"].get("body_encoding", "base64") == "base64"
        #: Whether the params are all it says, so that a copy has them as they are.
        self.is_params_alone = self._in_base64 and self._end == BODY_END

    def with_params(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """The body as it stands in a message's JSON, within its quotes; and the params as JSON."""
        encoded = _encode(params)
        body = f"{BODY_START}{encoded}{self._end}"
        return base64.b64encode(body.encode()).decode() if self._in_base64 else _text(body)[1:-1], encoded


class ReadyMessage:
    """Of the jobs of one task that are published with the same options and are to run at once.

    Args:
        message: one of them, as it would have been pushed to ``queue``.
        params: of that job.
    """

    def __init__(self, message: Mapping[str, Any], queue: str, params: Mapping[str, Any]) -> None:
        self.queue = queue
        self._task = message["headers"]["task"]
        self._ready_body = ReadyBody(message, params)
        self._id, self._tag, self._body = (str(uuid4()) for _ in range(3))
        self._facts, self._kept_facts, self._owner, self._request, self._params = (f'"{uuid4()}"' for _ in range(5))
        self._submitted = "1234567890123"
        task_id = message["headers"]["id"]
        properties = _renamed(message["properties"], task_id, self._id) | {"delivery_tag": self._tag}
        whole = {**message, "body": self._body, "properties": properties}
        headers = _renamed(message["headers"], task_id, self._id)
        whole["headers"] = {**headers, HEADER: self._facts.strip('"')}
        facts = SubmissionFacts(int(self._submitted), self._owner.strip('"'), self._request.strip('"'))
        params_gap = self._params if self._ready_body.is_params_alone else None
        to_copy = {**whole, "headers": {**headers, HEADER: self._kept_facts.strip('"')}}
        texts = (
            *(compact(whole), pending_record(whole["headers"], facts, queue)),
            compacted(to_copy, queue, params_gap),
        )
        gaps = (self._id, self._tag, self._body, self._facts, self._kept_facts, self._owner, self._request)
        marks = re.compile(f"({'|'.join((*gaps, self._params, self._submitted))})")
        self._message, self._record, self._copy = (_Template(text, marks) for text in texts)

    def publication(self, task_id: str, params: Mapping[str, Any], facts: SubmissionFacts) -> Publication:
        """Of the job of these params."""
        body, encoded = self._ready_body.with_params(params)
        gaps = {
            self._id: task_id,
            self._tag: random_uuid(),
            self._body: body,
            self._params: encoded,
            self._facts: facts.to_json(),
            self._kept_facts: facts_in_copy(facts),
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
