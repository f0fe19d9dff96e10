"""``ContextTask``: the Task class of every task of an app that ``make_celery`` builds."""

import logging
import os
from typing import TYPE_CHECKING, Any

from celery import Task, states
from celery.exceptions import Ignore, Reject, TaskRevokedError
from flask import g

from libs.flask_celery.broadcasts import is_broadcast
from libs.flask_celery.database import job_transaction, run_once, was_committed
from libs.flask_celery.deadlines import OVERDUE, is_late
from libs.flask_celery.errors import JobCancelled, JobOvertaken
from libs.flask_celery.result_limits import check_result
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.jobs import JobSpec

logger = logging.getLogger(__name__)


class ContextTask(Task):  # type: ignore[misc]
    """Runs in the Flask app context, validates a job's params, commits or rolls back its database work.

    Called directly as a function it is plain Python: the caller's context, session and transaction are used.
    """

    abstract = True
    #: Set by ``@job``; a plain ``shared_task`` has none and is not offered over HTTP.
    job_spec: "JobSpec | None" = None
    #: In a worker, its database work is applied once however often it is delivered (``database.run_once``).
    transactional = False
    #: Whom Celery's ``rate_limit`` holds for (``rate_limits.RateScope``).
    rate_limit_scope = "worker"
    #: Read by the worker, which imports it when it starts to consume.
    Request = "libs.flask_celery.request:JobRequest"

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Skip a job that turned out to be final, or cancelled, when the worker reported its start."""
        self._skip_when_over()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job as Celery's tracer asks, or the plain function when called directly."""
        request = self.request
        if request.called_directly or getattr(request, "entered", False):
            return super().__call__(*args, **kwargs)
        request.entered = True
        self._skip_when_over()
        if getattr(request, "flask_context", None) is None:  # eager in its caller's context and transaction
            return self._run_valid(args, kwargs)
        if not self.acks_late:
            self.backend.let_go(request)
        try:
            if self.transactional and not request.is_eager:
                return run_once(self, lambda: self._run_valid(args, kwargs))
            with job_transaction(self.app.flask_app):
                return self._run_valid(args, kwargs)
        except JobCancelled:
            request.active_job.close()
            self._store_cancelled()
            raise Ignore from None
        except JobOvertaken:
            logger.warning("Job %s is run elsewhere by now; what this run has done is dropped", request.id)
            raise Ignore from None
        except (Ignore, Reject) as outcome:
            if not getattr(outcome, "requeue", False):
                self.backend.let_go(request, has_ended=True)
            raise
        finally:
            if getattr(request, "active_job", None) is not None:
                request.active_job.close()

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """As Celery's; what this run has said is passed on before the next one can begin, and overtake it."""
        job = getattr(self.request, "active_job", None)
        if job is not None:
            job.pass_on()
        return super().retry(*args, **kwargs)

    def _run_valid(self, args: Any, kwargs: Any) -> Any:
        if self.job_spec is not None:
            args, kwargs = (), self.job_spec.load(args, kwargs)
        result = self.run(*args, **kwargs)
        check_result(self, result)
        return result

    def _skip_when_over(self) -> None:
        """Raises: Ignore, upon which Celery acknowledges the message and stores nothing."""
        request = self.request
        if not getattr(request, "reported", True):
            # Celery reports no start with ignore_result or without task_track_started; it is what claims the job.
            where = {"pid": os.getpid(), "hostname": request.hostname}
            self.backend.store_state(request.id, where, JobState.STARTED.value, request=request)
        is_over = getattr(request, "overtaken", False) or getattr(request, "refused_state", None)
        if is_over and is_broadcast(self.app, request):
            return
        if getattr(request, "overtaken", False):
            logger.info("Job %s is run elsewhere by now, or again later; this delivery of it is skipped", request.id)
            raise Ignore
        if getattr(request, "refused_state", None):
            if request.chord:
                self.backend.return_chord_part(request)
            raise Ignore
        if getattr(request, "cancel_requested", False) and not was_committed(self):
            self._store_cancelled()
            raise Ignore

    def _store_cancelled(self) -> None:
        why = OVERDUE if is_late(g.deadline) else "cancelled while it ran"
        reason = self.backend.prepare_exception(TaskRevokedError(why))
        self.backend.store_state(self.request.id, reason, JobState.REVOKED.value, request=self.request)
        if self.request.chord:
            self.backend.on_chord_part_return(self.request, states.REVOKED, reason)
