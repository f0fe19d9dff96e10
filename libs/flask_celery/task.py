"""``ContextTask``: the Task class of every task of an app that ``make_celery`` builds."""

import functools
from typing import TYPE_CHECKING, Any

from celery import Task, states
from celery.exceptions import Ignore, TaskRevokedError

from libs.flask_celery.context import app_context_or_current
from libs.flask_celery.database import job_transaction
from libs.flask_celery.errors import JobCancelled
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.jobs import JobSpec

#: Hooks that Celery also calls in a worker's parent process, where no ``task_prerun`` has pushed a context:
#: on_failure after a hard time limit, on_retry after a lost child.
_PARENT_HOOKS = ("on_failure", "on_retry")


class ContextTask(Task):  # type: ignore[misc]
    """Runs in the Flask app context, validates a job's params, commits or rolls back its database work.

    Called directly as a function it is plain Python: the caller's context, session and transaction are used.
    """

    abstract = True
    #: Set by ``@job``; a plain ``shared_task`` has none and is not offered over HTTP.
    job_spec: "JobSpec | None" = None

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Give the hooks that may run in the parent process a context there."""
        if not hasattr(app, "flask_app"):
            return
        for name in _PARENT_HOOKS:
            hook = getattr(cls, name)
            if not hasattr(hook, "wraps_hook"):
                setattr(cls, name, _with_context(hook))

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
        if self.job_spec is not None:
            args, kwargs = (), self.job_spec.load(args, kwargs)
        if getattr(request, "flask_context", None) is None:  # eager in its caller's context and transaction
            return self.run(*args, **kwargs)
        try:
            with job_transaction(self.app.flask_app):
                return self.run(*args, **kwargs)
        except JobCancelled:
            self._store_cancelled()
            raise Ignore from None

    def _skip_when_over(self) -> None:
        """Raises: Ignore, upon which Celery acknowledges the message and stores nothing."""
        request = self.request
        if getattr(request, "refused_state", None):
            raise Ignore
        if getattr(request, "cancel_requested", False):
            self._store_cancelled()
            raise Ignore

    def _store_cancelled(self) -> None:
        reason = self.backend.prepare_exception(TaskRevokedError("cancelled while it ran"))
        self.backend.store_state(self.request.id, reason, JobState.REVOKED.value, request=self.request)
        if self.request.chord:
            self.backend.on_chord_part_return(self.request, states.REVOKED, reason)


def _with_context(hook: Any) -> Any:
    @functools.wraps(hook)
    def in_context(self: Any, *args: Any, **kwargs: Any) -> Any:
        with app_context_or_current(self.app.flask_app):
            return hook(self, *args, **kwargs)

    in_context.wraps_hook = True  # type: ignore[attr-defined]
    return in_context
