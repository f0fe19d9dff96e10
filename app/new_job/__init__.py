"""What ``manage.py new-job`` writes: a package with a schema, a service, a task and a test that pass as they are."""

from app.new_job.new_job import NewJob, NewJobError
from app.new_job.writing import write_job

__all__ = ["NewJob", "NewJobError", "write_job"]
