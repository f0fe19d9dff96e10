"""The failed jobs as digests want them, from the list that the library keeps."""

from app.jobs.alerts.services import FailedJobLine, FailedJobsPart
from libs.flask_celery import FailedJob, FailedJobs, FlaskCelery


class FailedJobsSource:
    """Those of all owners. Methods raise redis-py's connection errors."""

    def __init__(self, celery_app: FlaskCelery) -> None:
        self._jobs = FailedJobs(celery_app)

    def now(self) -> int:
        """The time that failures are listed by (ms)."""
        return self._jobs.now()

    def between(self, since: int, until: int, *, newest: int) -> FailedJobsPart:
        """Those that failed from ``since`` to before ``until`` (ms)."""
        found = self._jobs.between(since, until, newest=newest)
        return FailedJobsPart(found.by_task, tuple(map(_line, found.newest)), found.complete)


def _line(job: FailedJob) -> FailedJobLine:
    error = f"{job.failure.type}: {job.failure.message}" if job.failure else "The error has expired."
    return FailedJobLine(job.task_id, job.task or "", job.owner, job.failed_at, error)
