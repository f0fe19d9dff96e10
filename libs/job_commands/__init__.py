"""Jobs on the command line, over HTTP: what ``manage.py jobs`` is, made with the Python client.

It knows nothing of the application, so that a command does not wait for one to be built.
"""

from libs.job_commands.jobs import make_jobs
from libs.job_commands.outcomes import ExitCode
from libs.job_commands.server import LocalServer

__all__ = ["ExitCode", "LocalServer", "make_jobs"]
