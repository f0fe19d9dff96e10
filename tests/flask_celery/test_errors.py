"""The library's errors: data as attributes, which survives the way from a worker's child process."""

from __future__ import annotations

import pickle

import pytest

from libs.flask_celery import (
    BrokerUnavailableError,
    ExpiredJobError,
    FinalJobError,
    FlaskCelery,
    FlaskCeleryError,
    InvalidParamsError,
    JobCancelled,
    JobState,
    ResultTooLargeError,
    SettingError,
    TooManyFilesError,
    UnknownJobError,
    UnknownTaskError,
)

ERRORS = [
    (SettingError("CELERY_X", "wants a number"), "CELERY_X: wants a number"),
    (UnknownTaskError("a.task"), "There is no task 'a.task'."),
    (InvalidParamsError("a.task", {"b": ["No"], "a": []}), "The params of a.task are not valid. a: []; b: ['No']"),
    (UnknownJobError("an-id"), "There is no job 'an-id'."),
    (ExpiredJobError("an-id", "ann"), "The result of job 'an-id' has expired."),
    (FinalJobError("an-id", JobState.SUCCESS), "Job 'an-id' is already SUCCESS."),
    (ResultTooLargeError("Write a file."), "Write a file."),
    (TooManyFilesError("Put them into one."), "Put them into one."),
    (BrokerUnavailableError("No answer."), "No answer."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "sentence"), ERRORS)
def test_an_error_says_what_is_wrong_and_can_be_pickled(error: FlaskCeleryError, sentence: str) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert str(error) == str(again) == sentence
    assert vars(again) == vars(error)
    assert isinstance(error, FlaskCeleryError)


@pytest.mark.parametrize(("error", "sentence"), ERRORS)
def test_a_job_that_fails_with_it_is_read_back_as_it(
    celery_app: FlaskCelery, error: FlaskCeleryError, sentence: str
) -> None:
    celery_app.backend.mark_as_failure("an-id", error)

    assert str(celery_app.AsyncResult("an-id").result) == sentence
    assert celery_app.backend.records.get("an-id").failure.type == type(error).__name__


def test_a_jobs_own_except_exception_does_not_catch_a_cancellation() -> None:
    assert not issubclass(JobCancelled, Exception)
