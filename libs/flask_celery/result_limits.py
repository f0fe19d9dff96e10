"""How large what a job leaves in its record may be: Redis holds results in memory, and clients poll them whole."""

import math
from collections.abc import Mapping
from typing import Any

from kombu.exceptions import EncodeError

from libs.flask_celery.errors import ResultTooLargeError, TooManyFilesError

#: Bytes of a result's JSON, unless the application says otherwise.
RESULT_LIMIT = 16 * 1024**2

#: Bytes of everything else in a record.
FIELDS_LIMIT = 2 * 1024**2

#: Characters of a text, or bits of a number, that no limit is below (``Range(1024)`` in config.py), escaped as they
#: may be: six bytes a character.
_SMALL = 128

#: Characters of an exception's message, of a traceback, of a word about progress; and a job's files.
LONGEST_ERROR = 10_000
LONGEST_TRACEBACK = 100_000
MOST_FILES = 1_000


def check_result(task: Any, result: Any) -> None:
    """See that what a run of the task has returned can be stored.

    Raises: ResultTooLargeError, before anything of the run is committed.
    """
    if result is None or task.request.is_eager or getattr(task.request, "ignore_result", False) or task.ignore_result:
        return
    if _is_small(result):
        return
    try:
        size = len(task.backend.encode(task.backend.prepare_value(result)))
    except EncodeError:
        return  # as Celery finds out, and says, when it stores it
    limit = getattr(task.app, "result_limit", RESULT_LIMIT)
    if size > limit:
        raise ResultTooLargeError(
            f"The result is {size:,} bytes of JSON, and {limit:,} are the most that is stored (RESULT_LIMIT). "
            "Write it to a file and leave that with current_job.attach(path, name=…, content_type=…)."
        )


def _is_small(result: Any) -> bool:
    """Whether it fits however it is written: most results are numbers and short words, and are stored right after."""
    if isinstance(result, str):
        return len(result) <= _SMALL
    return isinstance(result, float) or (isinstance(result, int) and result.bit_length() <= _SMALL)


def check_files(count: int) -> None:
    """See that a job with so many files may leave one more. Raises: TooManyFilesError."""
    if count >= MOST_FILES:
        raise TooManyFilesError(
            f"The job has left {MOST_FILES:,} files, the most there may be. Put several into one, as a ZIP archive."
        )


def bounded_error(error: Any) -> Any:
    """An exception as Celery stores it, its message cut when it is too long."""
    if not isinstance(error, Mapping) or "exc_message" not in error:
        return error
    message = error["exc_message"]
    text = message if isinstance(message, str) else " ".join(map(str, message))
    # Arguments that are no strings can hold more than they show, but not much more.
    if len(text) <= LONGEST_ERROR:
        return error
    return {**error, "exc_message": [_cut(text, LONGEST_ERROR)]}


def bounded_traceback(traceback: str | None) -> str | None:
    """Its beginning and its end, which say where it was called and what went wrong."""
    return traceback and _cut(traceback, LONGEST_TRACEBACK)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    note = f"\n… {len(text) - longest:,} characters left out …\n"
    kept = longest - len(note)
    return f"{text[: math.ceil(kept / 2)]}{note}{text[len(text) - kept // 2 :]}"
