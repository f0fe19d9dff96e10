"""What a worker's consumer keeps of a job it has taken, with an app context where Celery calls a task's hooks there.

After a hard time limit or a lost child process, ``on_failure``, ``on_retry``, ``after_return`` and the errbacks run
in the worker's parent process, where no ``task_prerun`` has pushed a context. They see the same ``g`` and
``self.request`` there as in the child; being in the consumer's loop, they should be quick.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery._state import _task_stack
from celery.worker.request import Request

from libs.flask_celery.context import fill_g


class JobRequest(Request):  # type: ignore[misc]
    """``ContextTask.Request``."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A time limit has passed."""
        if soft:
            super().on_timeout(soft, timeout)
            return
        with self._in_app_context():
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """The run has raised, or its process is gone."""
        with self._in_app_context():
            return super().on_failure(exc_info, send_failed_event, return_ok)

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
