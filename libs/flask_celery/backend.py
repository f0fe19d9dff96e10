"""The Redis result backend: Celery's own, with our fields in the record and no subscription at publish.

Three differences from ``celery.backends.redis``:

* Publishing subscribes to nothing. Celery subscribes to each result it publishes, on a socket that nobody reads in a
  process that only submits (measured: 556 bytes a publish). ``get()`` still subscribes on demand.
* A state is stored by one script that refuses once the job is final, where Celery reads, decides in Python and
  then writes (``celery/backends/base.py:1367``), so that a late writer could overwrite a FAILURE or REVOKED.
* The record keeps our fields beside Celery's, so that the results endpoint reads one key.
"""

from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from celery import states
from celery.backends.redis import SentinelBackend
from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.awaiting import OnDemandResultConsumer
from libs.flask_celery.batches.records import BatchRecords
from libs.flask_celery.gated_client import GatedRedis
from libs.flask_celery.history.history import JobHistory
from libs.flask_celery.history.telling import TellingSettings
from libs.flask_celery.keys import RecordKeys
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.record_fields import fields_of_request
from libs.flask_celery.records import JobRecords
from libs.flask_celery.result_limits import bounded_error, bounded_traceback
from libs.flask_celery.run_times import RunTimes
from libs.flask_celery.state_store import StateStoreMixin

#: How long a job's id is still known after its result has expired, in seconds.
DEFAULT_RETENTION = 7 * 24 * 3600


class JobBackendMixin(StateStoreMixin):
    """What our backends do differently; the class to use is one of those below."""

    ResultConsumer = OnDemandResultConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Celery may have added a separator to the configured prefix, so the result is what counts.
        self.keys = RecordKeys(bytes_to_str(self.task_keyprefix).removesuffix("celery-task-meta-"))
        self.retention = int(self.app.conf.get("job_retention") or DEFAULT_RETENTION)
        self.records = JobRecords(self)
        self.batches = BatchRecords(self)
        self.history = JobHistory(self)
        self.run_times = RunTimes(self)

    @property
    def telling(self) -> TellingSettings:
        """The application's, or the defaults for a Celery app that is not of ``make_celery``."""
        return getattr(self.app, "telling", None) or TellingSettings()

    @cached_property  # not kombu's, which takes a lock at each look
    def client(self) -> Any:
        """Of redis-py, for all threads."""
        return self._create_client(**self.connparams)

    def _get_client(self) -> Any:
        client = super()._get_client()
        return GatedRedis if getattr(self.app, "serves_clients", False) else client

    def on_task_call(self, producer: object, task_id: str) -> None:
        """Does not subscribe; see the module's docstring."""

    def _add_pending_result(self, task_id: str, result: Any, weak: bool = False) -> None:
        """Keep in mind whom to tell. Weakly, as a group does with its parts, subscribes to nothing."""
        if weak:
            self._pending_results.weak.setdefault(task_id, WeakValueDictionary())[id(result)] = result
            return
        super()._add_pending_result(task_id, result)
        # Celery's does nothing for a result it knows already, as it does a group's part.
        self.result_consumer.consume_from(task_id)

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """Store success. With ``ignore_result`` the value is dropped, but the job's end is still on record."""
        ignored = not store_result or getattr(request, "ignore_result", False)
        if ignored and _runs_in_worker(request):
            self.store_result(task_id, None, state, request=request)
        super().mark_as_done(task_id, result, request, store_result, state)

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Store failure, with ``ignore_result`` too: what is ignored is the value, not that the job has ended."""
        if _runs_in_worker(request):
            self.store_result(task_id, exc, state, traceback=traceback, request=request)
            if getattr(request, "refused_state", None):
                return  # what does not count has no consequences for its chain and its chord
            request.is_stored = True  # for what follows
            store_result = True
        super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Store that the job will not run, with ``ignore_result`` too."""
        super().mark_as_revoked(task_id, reason, request, store_result or _runs_in_worker(request), state)

    def return_chord_part(self, request: Any) -> None:
        """Tell the chord of a job that is final how it ended; telling it twice changes nothing.

        A part that was cancelled in its queue has told nobody, nor has one whose worker died right after storing.
        """
        meta = self._get_task_meta_for(request.id)
        self.on_chord_part_return(request, meta["status"], meta["result"])

    def on_chord_part_return(
        self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any
    ) -> None:
        """A run that has been overtaken does not speak for its job."""
        if not getattr(request, "overtaken", False):
            super().on_chord_part_return(request, state, result, propagate, **kwargs)

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        if getattr(request, "id", task_id) != task_id:
            request = None  # a job may update_state() of another one; what it knows of itself is not about that one
        if getattr(request, "is_stored", False):
            return result
        self.store_state(task_id, result, state, traceback=traceback, request=request)
        return result

    def _get_result_meta(
        self,
        result: Any,
        state: str,
        traceback: str | None,
        request: Any,
        format_date: bool = True,
        encode: bool = False,
    ) -> dict[str, Any]:
        result, traceback = bounded_error(result), bounded_traceback(traceback)
        meta: dict[str, Any] = super()._get_result_meta(result, state, traceback, request, format_date, encode)
        if request is not None and getattr(request, "task", None):
            meta.update(fields_of_request(request))
        if state == states.RETRY:
            meta["next_run_at"] = getattr(request, "next_run_at", None)
        if state in states.READY_STATES:
            ttl = self.failure_expires if state == states.FAILURE else self.expires
            meta["expires_at"] = now_ms() + ttl * 1000 if ttl else None
        return meta


def _runs_in_worker(request: Any) -> bool:
    return request is not None and not getattr(request, "is_eager", False)


class JobBackend(JobBackendMixin):
    """Results in one Redis: ``redis://``, ``rediss://``, ``redis+socket://``."""


class SentinelJobBackend(JobBackendMixin, SentinelBackend):  # type: ignore[misc]
    """Results in a Redis that Sentinel watches: ``sentinel://``."""
