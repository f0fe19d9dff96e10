"""Celery's states as one enum; strings become members once, at the edge."""

from enum import StrEnum


class JobState(StrEnum):
    """The state of a job, named as Celery names it (``celery.states``)."""

    PENDING = "PENDING"  # accepted and stored; no worker has started it
    STARTED = "STARTED"  # a worker runs it
    PROGRESS = "PROGRESS"  # it runs and has said how far it is
    RETRY = "RETRY"  # a run failed and another one is queued
    SUCCESS = "SUCCESS"  # final: it has a result
    FAILURE = "FAILURE"  # final: it has an error
    REVOKED = "REVOKED"  # final: cancelled or expired before it could finish

    @property
    def ready(self) -> bool:
        """Whether the state is final, so that nothing about the job changes any more."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED})


def state_named(name: str) -> JobState:
    """A job may call ``update_state`` with a word of its own, as Celery allows; to a client it is under way."""
    return JobState(name) if name in JobState.__members__ else JobState.PROGRESS
