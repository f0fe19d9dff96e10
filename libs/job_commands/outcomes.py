"""How a command ends: exit codes, and errors as one line."""

from enum import IntEnum
from typing import Any

import click

from libs.job_client import (
    BusyError,
    InvalidRequestError,
    JobCancelled,
    JobClientError,
    JobFailed,
    JobState,
    JobStatus,
    ResultTimeoutError,
    UnreachableError,
)


class ExitCode(IntEnum):
    """What scripts go by."""

    SUCCESS = 0
    FAILED = 1  # the job has failed, or one of several could not be acted on
    USAGE = 2  # wrong words, or params that do not validate
    CANCELLED = 3
    UNREACHABLE = 4  # no server, or one that is too busy for as long as was tried
    REFUSED = 5  # no access, no such job, not in this state
    UNFINISHED = 6  # the job has not ended, or not in time
    INTERRUPTED = 130  # Ctrl-C, as shells have it


_BY_ERROR: tuple[tuple[type[Exception], ExitCode], ...] = (
    (JobFailed, ExitCode.FAILED),
    (JobCancelled, ExitCode.CANCELLED),
    (ResultTimeoutError, ExitCode.UNFINISHED),
    (UnreachableError, ExitCode.UNREACHABLE),
    (BusyError, ExitCode.UNREACHABLE),
    (InvalidRequestError, ExitCode.USAGE),
    (JobClientError, ExitCode.REFUSED),
)

_BY_STATE = {
    JobState.SUCCESS: ExitCode.SUCCESS,
    JobState.FAILURE: ExitCode.FAILED,
    JobState.REVOKED: ExitCode.CANCELLED,
}


def exit_code_of(job: JobStatus) -> ExitCode:
    """By what became of the job."""
    return _BY_STATE.get(job.state, ExitCode.UNFINISHED)


class OutcomeGroup(click.Group):
    """A group whose commands end as :class:`ExitCode` says, with a line on standard error when something is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Raises: click's Exit."""
        try:
            return super().invoke(ctx)
        except JobClientError as error:
            click.echo(f"Error: {' '.join(str(error).split())}", err=True)
            code = next(code for kind, code in _BY_ERROR if isinstance(error, kind))
        except BrokenPipeError:
            raise  # whoever read has read enough, which click knows to say
        except OSError as error:
            click.echo(f"Error: {error}", err=True)
            code = ExitCode.USAGE
        except KeyboardInterrupt:
            click.echo("Interrupted. The job goes on.", err=True)
            code = ExitCode.INTERRUPTED
        return ctx.exit(code)
