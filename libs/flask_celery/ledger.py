"""A job's ledger, from outside of its runs: accepted, cancelled, taken back, no longer waited for."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery import states
from celery.backends.base import decompress_payload
from celery.exceptions import TaskRevokedError
from kombu.exceptions import DecodeError, EncodeError
from kombu.serialization import loads as deserialize
from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.accept_script import ACCEPT
from libs.flask_celery.acceptance import position_of, publication, terms_now
from libs.flask_celery.batches.then import submit_then
from libs.flask_celery.errors import UnknownJobError
from libs.flask_celery.history.telling import told_of_state
from libs.flask_celery.keys import RecordKeys
from libs.flask_celery.permits import tell_start
from libs.flask_celery.record_fields import KEPT_FIELDS
from libs.flask_celery.record_scripts import CANCEL, LET_GO, WITHDRAW
from libs.flask_celery.records import record_from_meta
from libs.flask_celery.result_format import ResultFormatMixin
from libs.flask_celery.serializers import BINARY_TYPES, PICKLE, TOLD_APART, content_type_of
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import JobState, state_named

#: Greater than any publication's number.
_ANY_PUBLICATION = 10**15


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class LedgerMixin(ResultFormatMixin):
    """The part of our backends that knows nothing of running jobs."""

    keys: RecordKeys
    retention: int  # seconds for which an expired job's id is still known

    def run_record_script(self, script: str, task_id: str, arguments: Sequence[Any]) -> Any:
        """Run one of the scripts that take a job's record and ledger."""
        return run_script(self.client, script, self.record_keys(task_id), [*arguments, self.keys.prefix])

    def record_keys(self, task_id: str) -> list[str]:
        """What those scripts take as KEYS."""
        return [self.keys.meta(task_id), self.keys.ledger(task_id)]

    def prepare_exception(self, exc: BaseException, serializer: str | None = None) -> Any:
        """As Celery's for JSON also where results are pickled: who reads it need not have the exception's class."""
        return super().prepare_exception(exc, "json" if self.serializer == PICKLE else serializer)

    def decode(self, payload: Any) -> Any:
        """What is stored, in whichever serialisation that is accepted. Raises: kombu's ContentDisallowed."""
        if not payload or self.serializer not in TOLD_APART:
            return super().decode(payload)
        payload = decompress_payload(payload)  # a stock worker's may be
        content_type = content_type_of(payload)
        if content_type is None:
            return super().decode(payload)
        encoding = "binary" if content_type in BINARY_TYPES else "utf-8"
        return deserialize(payload, content_type, encoding, accept=self.accept)

    def encode(self, data: Any) -> Any:
        """As Celery's. Raises: EncodeError, also for what nobody could read again: msgpack packs keys of any type."""
        payload = super().encode(data)
        if self.serializer == "msgpack":
            try:
                super().decode(payload)
            except DecodeError as error:
                raise EncodeError(str(error)) from error
        return payload

    def accept_job(self, message: Mapping[str, Any], queue: str) -> bytes:
        """Write the record of a job about to be published elsewhere. Returns: as ``Publication.settle``."""
        published, terms = publication(message, queue, push=False, serializer=self.serializer), terms_now()
        database = self.connparams["db"]
        arguments = published.arguments(terms, self.keys.prefix, database, database)
        answer = self.ensure(run_script, (self.client, ACCEPT, [""], [*arguments, self.keys.prefix]))
        return published.settle(tuple(answer), terms)

    def published(self, task_id: str) -> None:
        """The message of a job that was accepted for another broker is there."""
        self.client.zrem(self.keys.unpublished, task_id)

    def withdraw(self, task_id: str) -> None:
        """Take back the record of a job whose publish failed, so that its id is unknown again.

        Its message may have arrived all the same, so for a while the ledger goes on saying that it must not run.
        """
        self.run_record_script(WITHDRAW, task_id, [task_id, terms_now().idempotency, self._keep(0)])

    def let_go(self, request: Any, *, has_ended: bool = False) -> None:
        """The message of a job that is not final will be acknowledged: nobody is to put it back in its queue.

        Args:
            has_ended: its run is over too, and has left it in the state that it is in.
        """
        tell_start(request)
        arguments = [request.id, *position_of(request), *self.kept_for(), "1" if has_ended else ""]
        self.submit_then(self.ensure(self.run_record_script, (LET_GO, request.id, arguments)))

    def cancel(
        self,
        task_id: str,
        *,
        terminate: bool = False,
        unless_started: bool = False,
        reason: str = "cancelled before it started",
    ) -> tuple[str, str]:
        """Run the CANCEL script; ``JobRecords.cancel`` is what callers want."""
        call = self.cancel_call(
            task_id, self._known_fields(task_id), terminate=terminate, unless_started=unless_started, reason=reason
        )
        outcome, state, due = run_script(self.client, CANCEL, *call)
        self.submit_then(due)
        return outcome.decode(), state.decode()

    def cancel_call(
        self,
        task_id: str,
        known: Mapping[str, Any],
        *,
        terminate: bool,
        unless_started: bool = False,
        reason: str = "cancelled before it started",
    ) -> tuple[list[str], list[Any]]:
        """The keys and arguments of CANCEL for a job of whose record this is known."""
        exception = self.prepare_exception(TaskRevokedError(reason))
        meta = self._get_result_meta(result=exception, state=states.REVOKED, traceback=None, request=None)
        meta.update({name: known[name] for name in KEPT_FIELDS if name in known}, task_id=task_id)
        keys = [self.keys.meta(task_id), self.keys.ledger(task_id)]
        choices = ["1" if choice else "" for choice in (terminate, unless_started)]
        told = told_of_state(states.REVOKED, meta)
        return keys, [task_id, self.encode(meta), *self.kept_for(), *choices, told, self.keys.prefix]

    def submit_then(self, batch_id: bytes) -> None:
        """A job has ended, and with it the batch of this id, unless that is empty; see ``batches.then``."""
        if batch_id:
            submit_then(self.app, batch_id.decode())

    def cancel_requested(self, task_id: str) -> bool:
        """Whether somebody has asked this running job to stop."""
        return bool(self.client.hexists(self.keys.ledger(task_id), "cancel"))

    def has_started(self, task_id: str) -> bool:
        """Whether a run of a job that was not to start after some time has ever begun."""
        state, expires = self.client.hmget(self.keys.ledger(task_id), "state", "expires")
        return state is not None and expires is None  # a stock client's has no ledger before it starts

    def state_of(self, task_id: str) -> JobState:
        """A job's state, also when its result has expired. Raises: UnknownJobError."""
        meta = self.client.get(self.keys.meta(task_id))
        if meta is not None:
            return record_from_meta(task_id, self.decode(meta)).state
        state = self.client.hget(self.keys.ledger(task_id), "state")
        if state is None:
            raise UnknownJobError(task_id)
        return state_named(bytes_to_str(state))

    def count_out(self, task_id: str) -> None:
        """The job is not waited for any more, whatever its last publication was: nobody will run it."""
        arguments = [task_id, _ANY_PUBLICATION, 0, *self.kept_for(), "1"]
        self.submit_then(self.run_record_script(LET_GO, task_id, arguments))

    def kept_for(self) -> tuple[int, int, int]:
        """How long a result is kept (s), how long a record that nobody will end is (ms), and now (ms)."""
        ttl: int = self.expires or 0
        return ttl, self._keep(ttl), now_ms()

    def _keep(self, ttl: int) -> int:
        return (ttl + self.retention) * 1000
