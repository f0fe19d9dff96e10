"""Looking at each item of a batch before anything is accepted."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from libs.flask_celery.batches.filling import BatchItem
from libs.flask_celery.errors import FlaskCeleryError
from libs.flask_celery.jobs import JobSpec, job_spec

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Seconds of work after which other greenlets, or threads, have their turn.
_TURN = 0.005
#: gevent comes back from ``sleep(0)`` up to fifty times before it looks at a socket.
_LEAST_SLEEP = 0.0001


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """An item that the caller has found fault with already, and what the caller was sent."""

    error: Exception
    said: bytes = b""


class Turns:
    """Lets others run while much is to be done: under gevent a loop without I/O keeps every other request waiting."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._since > _TURN:
            time.sleep(_LEAST_SLEEP)
            self._since = time.monotonic()


class CheckedItems:
    """The items in their order, those that cannot be accepted as their errors, and what tells them from others."""

    def __init__(self, celery_app: "FlaskCelery", items: Iterable[BatchItem | RefusedItem], turns: Turns) -> None:
        self.items: list[BatchItem | Exception] = []
        self._app = celery_app
        self._specs: dict[str, JobSpec] = {}
        fingerprint = sha256(b"batch")
        for item in items:
            said = item.said or repr(item).encode() if isinstance(item, RefusedItem) else _said(item)
            fingerprint.update(b"%d " % len(said) + said)
            self.items.append(item.error if isinstance(item, RefusedItem) else self._checked(item))
            turns()
        self.fingerprint = fingerprint.hexdigest()

    def _checked(self, item: BatchItem) -> BatchItem | Exception:
        try:
            spec = self._specs.get(item.task)
            if spec is None:
                spec = self._specs[item.task] = job_spec(self._app, item.task)
            spec.load_body(item.params)
        except FlaskCeleryError as error:
            return error
        return item


def _said(item: BatchItem) -> bytes:
    said = [item.task, item.params, item.options, item.idempotency_key, item.content]
    return item.said or json.dumps(said, sort_keys=True, default=str).encode()
