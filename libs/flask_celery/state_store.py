"""Storing a state that a job has come to, from within its run or from outside."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from celery import states
from celery.exceptions import BackendStoreError

from libs.flask_celery.accept_script import OVERTAKEN
from libs.flask_celery.acceptance import position_of
from libs.flask_celery.direct_calls import DirectCalls
from libs.flask_celery.figures.timing import timed, waited
from libs.flask_celery.history.telling import told_of_progress, told_of_state
from libs.flask_celery.ledger import LedgerMixin, now_ms
from libs.flask_celery.permits import UntoldStart, is_permitted, watch
from libs.flask_celery.record_fields import KEPT_FIELDS, fields_of_caller
from libs.flask_celery.record_scripts import STORE, STORED
from libs.flask_celery.result_limits import FIELDS_LIMIT, RESULT_LIMIT
from libs.flask_celery.stored_together import End, StoredTogether, may_wait


class StateStoreMixin(LedgerMixin):
    """The part of our backends that writes records of jobs that run."""

    _ends: StoredTogether | None = None

    def store_state(
        self,
        task_id: str,
        result: Any,
        state: str,
        *,
        traceback: str | None = None,
        request: Any = None,
        progress: Mapping[str, Any] | None = None,
        **retry_policy: Any,
    ) -> bool:
        """Store a state, tell of it, and wake who waits. ``result`` is as Celery stores it, exceptions prepared.

        With ``progress`` that is what is told, and of the state only when it is another one than before.

        Returns: whether it was stored. False when the job was final already, or its run has been overtaken by another
            one, and then nothing has changed; ``request.refused_state`` and ``request.overtaken`` say which.
            ``request.cancel_requested`` is set when somebody has asked the running job to stop.
        """
        start: UntoldStart | None = getattr(request, "untold_start", None)
        if start is not None:
            with start as begun:
                return self._store_state(
                    task_id, result, state, traceback, request, progress, begun=begun, **retry_policy
                )
        if state == states.STARTED and is_permitted(request):

            def tell(at: int) -> None:
                self._store_state(task_id, result, state, request=request, now=at, max_retries=0)

            request.untold_start, request.reported = watch(UntoldStart(tell)), True
            return True
        return self._store_state(task_id, result, state, traceback, request, progress, **retry_policy)

    def _store_state(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        progress: Mapping[str, Any] | None = None,
        *,
        now: int | None = None,
        begun: int | None = None,
        **retry_policy: Any,
    ) -> bool:
        """As ``store_state``, which has seen to a run that began at ``begun`` (ms) without a word."""
        now = now or now_ms()
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        if getattr(request, "active_job", None) is None:
            # Stored from outside the run (a time limit, a lost child, a chord's outcome): keep what it had said.
            for name, value in (self._known_fields(task_id) or fields_of_caller()).items():
                meta[name] = meta.get(name) or value
        payload = self.encode(meta)
        # A result has been checked by then; update_state() takes whatever it is given.
        if len(payload) > getattr(self.app, "result_limit", RESULT_LIMIT) + FIELDS_LIMIT:
            raise BackendStoreError("What is said of the job is too large to store.", state=state, task_id=task_id)
        ttl = (self.failure_expires if state == states.FAILURE else self.expires) or 0
        publication, fence = position_of(request)
        told = told_of_state(state, meta), told_of_progress(progress)
        arguments = [
            *(task_id, payload, state, ttl, self._keep(ttl), now),
            *(meta.get("owner") or "", meta.get("name") or ""),
            *(publication, fence, timed(state, meta, request, now), *told),
            *_told_of_start(begun, meta, request),
        ]
        if begun is not None and self._ends is not None and may_wait(state, request):
            self._ends.add(task_id, arguments)
            request.reported = True
            return True
        if self._ends is not None:
            self._ends.store()  # what has ended does not wait for what goes on
        outcome, cancel, before, due = self._run_store(task_id, arguments, retry_policy)
        if request is not None:
            request.reported = True
            request.overtaken = outcome == OVERTAKEN
            request.refused_state = None if outcome == STORED else before.decode() or states.PENDING
            request.cancel_requested = bool(cancel)
        if outcome == STORED and cancel and state == states.RETRY:
            self.cancel(task_id)  # it has been asked to stop, so it does not wait for another run
        self.submit_then(due)
        return bool(outcome == STORED)

    @contextmanager
    def ends_together(self) -> Iterator[None]:
        """In this block, which is the process's only one, ends of short jobs may be stored a little later.

        Raises: as ``store_state``, when one could not be stored by its end.
        """
        self._ends = ends = StoredTogether(self._store_together)
        try:
            yield
        finally:
            ends.store()
            self._ends = None

    def _store_together(self, ends: Sequence[End]) -> None:
        answers = self._calls.run_script_often(
            STORE, [(self.record_keys(task_id), [*arguments, self.keys.prefix]) for task_id, arguments in ends]
        )
        for (task_id, arguments), answer in zip(ends, answers, strict=True):
            if isinstance(answer, Exception):
                answer = self._run_store(task_id, list(arguments), {})  # noqa: PLW2901
            self.submit_then(answer[3])

    def _run_store(self, task_id: str, arguments: list[Any], retry_policy: Mapping[str, Any]) -> Any:
        """Over a connection without a client at first; once that has failed, as often as Celery's settings say."""
        if not getattr(self.app, "serves_clients", False):
            try:
                return self._calls.run_script(STORE, self.record_keys(task_id), [*arguments, self.keys.prefix])
            except self.connection_errors:
                if retry_policy.get("max_retries") == 0:
                    raise
        return self.ensure(self.run_record_script, (STORE, task_id, arguments), **retry_policy)

    @cached_property
    def _calls(self) -> DirectCalls:
        return DirectCalls(self.client.connection_pool, looks_first=False)

    def _known_fields(self, task_id: str) -> dict[str, Any]:
        """Our fields as the record has them now."""
        payload = self.client.get(self.keys.meta(task_id))
        if payload is None:
            return {}
        meta: Mapping[str, Any] = self.decode(payload)
        return {name: meta[name] for name in KEPT_FIELDS if name in meta}


def _told_of_start(begun: int | None, meta: Mapping[str, Any], request: Any) -> tuple[int | str, ...]:
    if begun is None:
        return "", "", ""
    return begun, waited(meta, request, begun), told_of_state(states.STARTED, meta)
