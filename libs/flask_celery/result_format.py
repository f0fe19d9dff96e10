"""How times and exceptions stand in a record, and what Python code that reads them with ``AsyncResult`` is given.

Celery 5.7 writes the end of a job in the zone of the worker that ran it (``celery/backends/base.py``,
``_get_result_meta``) and gives its reader that. Here it is written in UTC, so that the records of workers in several
zones compare, and read in the zone of the app that reads.

Celery makes the class that a record names again, and calls it (``exception_to_python``). A record is data, which may
have come from anywhere: reading one must neither end nor load anything.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from inspect import getattr_static
from typing import Any

from celery.backends.redis import RedisBackend
from celery.exceptions import SecurityError
from celery.utils.serialization import UnpickleableExceptionWrapper, ensure_serializable

#: No module has this name; Celery makes an exception class of its own of what it cannot find.
_NO_MODULE = ""
_MISSING: Any = object()


class ResultFormatMixin(RedisBackend):  # type: ignore[misc]
    """What our backends write and read otherwise than Celery's."""

    def _get_result_meta(
        self, result: Any, state: str, traceback: Any, request: Any, format_date: bool = True, encode: bool = False
    ) -> dict[str, Any]:
        meta: dict[str, Any] = super()._get_result_meta(result, state, traceback, request, False, encode)
        if meta["date_done"] is not None and format_date:
            meta["date_done"] = meta["date_done"].astimezone(UTC).isoformat()
        return meta

    def meta_from_decoded(self, meta: dict[str, Any]) -> dict[str, Any]:
        """As Celery's, with the end of the job in the app's zone."""
        if isinstance(meta.get("date_done"), str):
            meta["date_done"] = _time_of(meta["date_done"]).astimezone(self.app.timezone).isoformat()
        decoded: dict[str, Any] = super().meta_from_decoded(meta)
        return decoded

    def prepare_exception(self, exc: Any, serializer: str | None = None) -> Any:
        """As Celery's. What cannot be pickled it has wrapped by then, and here it is stored under its own name."""
        stored = super().prepare_exception(exc, serializer)
        if isinstance(exc, UnpickleableExceptionWrapper) and isinstance(stored, dict):
            message = ensure_serializable(exc.exc_args, self.encode)
            return {"exc_type": exc.exc_cls_name, "exc_message": message, "exc_module": exc.exc_module}
        return stored

    def exception_to_python(self, exc: Any) -> Any:
        """The stored exception, as its own class where this process has that and can make it of its arguments.

        Else as one of the same name, or as a SecurityError for what is no exception's class. Celery raises that one
        already when the job's state is read, also in the hands of somebody who waits for another job.
        """
        if not isinstance(exc, Mapping) or not isinstance(exc.get("exc_module"), str):
            return super().exception_to_python(exc)
        found = _loaded(exc["exc_module"], str(exc.get("exc_type")))
        if found is not _MISSING and not (isinstance(found, type) and issubclass(found, BaseException)):
            return SecurityError(f"{exc['exc_module']}.{exc.get('exc_type')} is no exception's class.")
        if found is not _MISSING and issubclass(found, Exception):  # the others end whoever raises them
            message = exc.get("exc_message", "")
            with suppress(Exception):  # whatever its constructor makes of arguments that are not its own
                return found(*message) if isinstance(message, (list, tuple)) else found(message)
        return super().exception_to_python({**exc, "exc_module": _NO_MODULE})


def _time_of(text: str) -> datetime:
    """A stock worker without ``enable_utc`` writes no zone, and means UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _loaded(module: str, name: str) -> Any:
    """What a loaded module has under a name with dots. Its ``__getattr__``, which may load more, is not asked."""
    found: Any = sys.modules.get(module, _MISSING)
    for part in name.split("."):
        found = _MISSING if found is _MISSING else getattr_static(found, part, _MISSING)
    return found
