"""What a worker's consumer keeps of a job it has taken, with an app context where Celery calls a task's hooks there.

After a hard time limit or a lost child process, ``on_failure``, ``on_retry``, ``after_return`` and the errbacks run
in the worker's parent process, where no ``task_prerun`` has pushed a context. They see the same ``g`` and
``self.request`` there as in the child; being in the consumer's loop, they should be quick.

Once a stopping worker has given a job's message back (see ``giving_back``), what becomes of its run here is nobody's
business any more: it does not start, and a process that was ended for it is no failure and no retry.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery._state import _task_stack
from celery.worker.request import Request
from celery.worker.state import task_ready
from sqlalchemy.exc import DBAPIError

from libs.flask_celery.bundles.bundle import Bundle
from libs.flask_celery.completions import Completions
from libs.flask_celery.context import fill_g
from libs.flask_celery.deadlines import is_late
from libs.flask_celery.errors import SettingError
from libs.flask_celery.facts import HIDDEN
from libs.flask_celery.giving_back import NotStarted, Stage, is_given_back, is_stopping, reach, show_waiting

logger = logging.getLogger(__name__)


class JobRequest(Request):  # type: ignore[misc]
    """``ContextTask.Request``."""

    _is_committed = False
    bundle: "Bundle | None" = None  # that the pool has it in

    @property
    def _apply_result(self) -> Any:
        return self.__dict__.get("_apply_result")

    @_apply_result.setter
    def _apply_result(self, result: Any) -> None:
        """Celery sets it once the pool has the job, also where it has started by then."""
        self.__dict__["_apply_result"] = result
        reach(self.message, Stage.DISPATCHED)

    def run(self) -> tuple[Any, ...]:
        """What the pool's process wants of it (``celery/app/trace.py``, ``fast_trace_task``)."""
        return self._type, self.id, self._request_dict, self._body, self._content_type, self._content_encoding

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """End its process, now or as it starts; in a bundle, once that is known to be no other job's."""
        if self.bundle is not None and not self.time_start:
            self.bundle.break_up()
        super().terminate(pool, signal)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """The pool starts the job. Raises: NotStarted, in a thread or greenlet of the pool, when it must not."""
        if not reach(self.message, Stage.STARTED):
            raise NotStarted
        super().on_accepted(pid, time_accepted)

    def info(self, safe: bool = False) -> dict[str, Any]:
        """For ``inspect`` and Flower, which shows what a worker has reserved with its arguments as they are."""
        info: dict[str, Any] = super().info(safe or self.kwargsrepr == HIDDEN["kwargsrepr"])
        return info

    def acknowledge(self) -> None:
        """Send the acknowledgement, or have the event loop send it soon."""
        reach(self.message, Stage.SETTLED)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """The same for a rejection."""
        reach(self.message, Stage.SETTLED)
        super().reject(requeue)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A time limit has passed."""
        if is_given_back(self.message):
            return
        if soft:
            super().on_timeout(soft, timeout)
        elif not self._is_left_to_its_next_run():
            with self._in_app_context():
                super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """The run has raised, or its process is gone."""
        if is_given_back(self.message):
            return None
        if is_stopping() and self.task.acks_late and _is(exc_info.exception, WorkerLostError):
            return self._give_back()
        if _is(exc_info.exception, WorkerLostError, TimeLimitExceeded) and self._is_left_to_its_next_run():
            return None
        with self._in_app_context():
            return super().on_failure(exc_info, send_failed_event, return_ok)

    def maybe_expire(self) -> bool | None:
        """Whether it must not start any more.

        A job that has started before does: it was in time, and what its first run has done may need its second one.
        """
        if is_late(self.expires) and not self.task.backend.has_started(self.id):
            expired: bool | None = super().maybe_expire()
            return expired
        return None

    def _is_left_to_its_next_run(self) -> bool:
        """Give a transactional job back whose process was ended after its commit.

        Its next run applies nothing and answers as this one would have, callbacks and all. Celery asks twice about a
        time limit.
        """
        if not (self.task.transactional and self.task.acks_late):
            return False
        if not self._is_committed:
            try:
                with self.app.flask_app.app_context():
                    self._is_committed = Completions(self.app.flask_app).find(self.id) is not None
            except (SettingError, DBAPIError) as error:
                logger.warning("Whether job %s was committed could not be found out: %r", self.id, error)
            if self._is_committed:
                task_ready(self)
                self.reject(requeue=True)
        return self._is_committed

    def _give_back(self) -> None:
        """Its process was told to stop together with the worker, as systemd does it: no failure, and no retry."""
        task_ready(self)
        try:
            show_waiting(self)
        except Exception:
            logger.exception("The state of job %s could not be stored", self.id)
        self.reject(requeue=True)

    def fail_for_shutdown(self) -> None:
        """Store the end of a job that was cut short and, acknowledged early, has no message to give back."""
        error = WorkerLostError("Its worker was stopped, and its message had been acknowledged before it ran.")
        with self._in_app_context():
            self.task.backend.mark_as_failure(self.id, error, request=self._context)

    def _retry_worker_lost(self, exc: BaseException, exc_info: Any) -> bool:
        """Run the job again soon, in 1 s, then 2, 4, …, and ahead of what is queued: its turn has been.

        Celery waits for the task's ``default_retry_delay``, three minutes, which is meant for failures of the job.
        """
        task = self.task
        self._context.process_is_lost = True
        kept, task.default_retry_delay = task.default_retry_delay, 2**self._context.retries
        try:
            return bool(super()._retry_worker_lost(exc, exc_info))
        finally:
            task.default_retry_delay = kept

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """The job will not run, or its process was ended on request; not when it had committed its work by then."""
        if not (terminated and self._is_left_to_its_next_run()):
            super()._announce_revoked(reason, terminated, signum, expired)

    def _announce_cancelled(self, emit_retry: bool = True) -> None:
        """The run was stopped because the broker's connection is gone; it will be delivered again."""
        with self._in_app_context():
            super()._announce_cancelled(emit_retry)

    @contextmanager
    def _in_app_context(self) -> Iterator[None]:
        with self.app.flask_app.app_context():
            fill_g(self._context)
            # As the tracer does, so that a retry published from here is known for this job's.
            _task_stack.push(self.task)
            self.task.request_stack.push(self._context)
            try:
                yield
            finally:
                self.task.request_stack.pop()
                _task_stack.pop()


def _is(error: Any, *kinds: type[Exception]) -> bool:
    """Whether it is one of these, which the pool wraps to carry its traceback."""
    return isinstance(error.exc if isinstance(error, ExceptionWithTraceback) else error, kinds)
