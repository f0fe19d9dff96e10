"""How gunicorn serves the API: read by itself from the working directory, with or without ``manage.py up``.

Options on gunicorn's command line are stronger than these.
"""

import _thread
import fcntl
import logging
import os
import re
import resource
import shutil
import signal
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from urllib.parse import unquote

from gunicorn.glogging import Logger

#: Greenlets, not threads: a client that sends half a request, or reads slowly, costs a greenlet and holds up nobody.
#: gunicorn patches the standard library for gevent before it imports the application; nothing else does. It is
#: gunicorn's own ``gevent``, with a shorter way for plain requests.
worker_class = "libs.api_worker.ApiWorker"

#: Requests that are held (``WAITERS``, 4,000 by default) and a thousand others; as many at most are accepted.
worker_connections = 5000

#: Each of them is an open file, and 1,024 is what many systems allow a process that does not ask for more.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = 2 * worker_connections
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    _most = _wanted if _hard == resource.RLIM_INFINITY else min(_hard, _wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _hard))

#: Bytes of a request line, the most that gunicorn allows: a poll can name a hundred jobs, and 4,094 are 90 UUIDs.
limit_request_line = 8190

#: Seconds an idle connection is kept. Longer than a load balancer's own time-out is the usual advice behind one.
keepalive = 5
graceful_timeout = 30

#: Heartbeat files belong in memory: a busy disk must not look like a hung worker (gunicorn's FAQ).
_in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
if _in_memory:
    worker_tmp_dir = _in_memory

#: There is nothing to steer that signals do not, and a socket in the home directory belongs to nobody's installation.
control_socket_disable = True


#: The scheme that a client names is not believed; ``TRUSTED_PROXIES`` says whose is.
forwarded_allow_ips = ""


_COUNTS = "taskgate-metrics-"


def on_starting(server):
    """Before any process imports the application: the processes count together what ``/metrics`` tells."""
    given = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    # One of ours is that of the gunicorn that this one is to replace (USR2), which takes it away with it.
    if not given or Path(given).name.startswith(_COUNTS):
        _take_away_what_was_left()
        # Locked before it has the name that others look for.
        folder = Path(mkdtemp(prefix="taskgate-starts-", dir=_in_memory))
        server.counts_lock = _locked(folder)
        folder = folder.rename(folder.with_name(folder.name.replace("taskgate-starts-", _COUNTS)))
        server.counts = os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _locked(folder):
    """The folder's lock, or None when a gunicorn that lives has it; its end, by SIGKILL too, gives it back."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _take_away_what_was_left():
    """By gunicorns that were killed."""
    for folder in Path(_in_memory or gettempdir()).glob(f"{_COUNTS}*"):
        with suppress(OSError):  # another user's, or just taken away
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()


def pre_fork(server, worker):
    """Give each process that lives a number of its own, the lowest that is free."""
    taken = {other.counts_as for other in server.WORKERS.values()}
    worker.counts_as = next(number for number in count() if number not in taken)


def post_fork(server, worker):
    """Let a process count on in the files of one that has ended.

    By pid, as is the library's way, each would leave 128 KiB in memory for good: with ``max_requests`` that fills it.
    """
    if hasattr(server, "counts"):  # a folder that is named from outside may have other gunicorns in it
        from prometheus_client import values  # noqa: PLC0415 - it reads the variable above

        values.ValueClass = values.MultiProcessValue(lambda: worker.counts_as)


def child_exit(server, worker):
    """A process that has ended holds no requests any more. What it has counted stays."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - it reads the variable above

    mark_process_dead(worker.counts_as if hasattr(server, "counts") else worker.pid)


def on_exit(server):
    """Nothing is left behind."""
    if hasattr(server, "counts"):
        shutil.rmtree(server.counts, ignore_errors=True)


def post_worker_init(worker):  # gunicorn has no types
    """What a process of the API does that has just loaded the application."""
    from app.log_output import set_up_logs  # noqa: PLC0415 - by now the standard library is patched

    # The application writes the access log, with what it knows of each request; gunicorn's own stays off.
    set_up_logs(worker.wsgi.config["TASKGATE"].log_format or "json")
    _let_held_requests_go_at_the_end(worker)


def _let_held_requests_go_at_the_end(worker):
    """See that held requests and event streams do not keep a process that is told to stop.

    It waits for its requests, for ``graceful_timeout``; those would not end before.
    """
    watch = worker.wsgi.extensions["job_watch"]
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return

    def let_go(signum, frame):
        stop(signum, frame)
        worker.cfg.set("keepalive", 0)  # their connections are not kept for another request
        # Not in here, where the signal may have come in the midst of what this needs. Under gevent it is a greenlet.
        _thread.start_new_thread(watch.dismiss, ())

    signal.signal(signal.SIGTERM, let_go)


_ARGUMENT = re.compile(r"""([^?&=\s"']*)=([^&\s"']*)""")
_SECRET = re.compile(r"\b(tgj?_)[A-Za-z0-9_.-]{8,}")


def _hide_secrets(record: logging.LogRecord) -> bool:
    """A token may stand in an address (RFC 6750, section 2.3), and addresses in both logs; keys may be put there.

    So may a webhook's address, whose path or query often is a secret of its receiver's.
    """
    message = _ARGUMENT.sub(_hide_argument, record.getMessage())
    record.msg, record.args = _SECRET.sub(r"\1[hidden]", message), ()
    return True


def _hide_argument(argument: re.Match[str]) -> str:
    """Both sides can be percent-encoded, letters too."""
    name, value = map(unquote, argument.groups())
    is_secret = name in ("access_token", "webhook") or _SECRET.search(value)
    return f"{argument[1]}=[hidden]" if is_secret else argument[0]


class _DiscreetLogger(Logger):
    """gunicorn's own logging, without secrets."""

    def setup(self, cfg):  # gunicorn has no types
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.addFilter(_hide_secrets)  # the same function: added once

    def exception(self, msg, *args, **kwargs):
        if isinstance(sys.exc_info()[1], TimeoutError):  # of sending: reading has no time-out
            self.info("A client that took nothing of what it was sent has been given up.")
        else:
            super().exception(msg, *args, **kwargs)


logger_class = _DiscreetLogger
