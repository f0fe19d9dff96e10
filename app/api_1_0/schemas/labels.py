"""What a job's state is called for those who look at it."""

from app.languages import N_, translated
from libs.flask_celery import JobState

STATE_LABELS = {
    JobState.PENDING: N_("Waiting"),
    JobState.STARTED: N_("Running"),
    JobState.PROGRESS: N_("Running"),
    JobState.RETRY: N_("Waiting for another try"),
    JobState.SUCCESS: N_("Done"),
    JobState.FAILURE: N_("Failed"),
    JobState.REVOKED: N_("Cancelled"),
}


def state_label(state: JobState) -> str:
    """In the request's language."""
    return translated(STATE_LABELS[state])
