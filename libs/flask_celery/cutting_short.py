"""Ending a worker whose jobs have not ended: their messages are put back first, then the process is gone.

No pool can be relied on to interrupt a job (a thread cannot be, a greenlet only where it waits), but the end of the
process is one for all of them, and databases roll back what was not committed.
"""

import logging
import os
import signal
import threading
import time
from typing import Any, NoReturn

from celery.concurrency.prefork import TaskPool as PreforkPool

from libs.flask_celery.giving_back import give_back_all, show_waiting, withhold_running
from libs.flask_celery.worker_steps import consumer_channel

logger = logging.getLogger(__name__)

#: Seconds for all that is said to Redis; with Redis away the leases bring the messages back.
_LONGEST = 1.5

#: Seconds for killed child processes to be gone.
_CHILDREN_GONE = 0.5


def cut_short(worker: Any, exitcode: int) -> NoReturn:
    """Put back everything that has not ended and end this process, within two seconds."""
    try:
        running = withhold_running()
        logger.warning("Cut short and given back: %s", ", ".join(request.id for request in running) or "nothing")
        _kill_children(worker)
        talking = threading.Thread(target=_tell_redis, args=(worker, running), name="cutting-short", daemon=True)
        talking.start()
        talking.join(_LONGEST)
        _tidy_up(worker)
    except Exception:
        logger.exception("The worker could not stop as it should; its leases will bring back what it held")
    logging.shutdown()
    os._exit(exitcode)


def _kill_children(worker: Any) -> None:
    """A prefork pool's, so that none of them still works on what another worker has."""
    inner = getattr(worker.pool, "_pool", None) if isinstance(worker.pool, PreforkPool) else None
    pids = [process.pid for process in list(getattr(inner, "_pool", None) or ()) if process.pid]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _CHILDREN_GONE
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    """Looks without reaping, which is the pool's to do."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _tell_redis(worker: Any, running: list[Any]) -> None:
    for request in running:
        try:
            if request.task.acks_late:
                show_waiting(request)
            else:
                request.fail_for_shutdown()
        except Exception:
            logger.exception("The state of job %s could not be stored", request.id)
    channel = consumer_channel(worker)
    if not hasattr(channel, "lease_keys"):  # another broker gives back what was not acknowledged
        return
    try:
        give_back_all(channel)
    except Exception:
        logger.exception("What the worker held could not be given back; it will be when its leases are over")


def _tidy_up(worker: Any) -> None:
    """What Celery does as its process ends in its own way, as far as others depend on it."""
    if worker.beat:
        worker.beat.stop()
    if worker.pidlock:
        worker.pidlock.release()
    if getattr(worker, "_persistence", None):
        worker._persistence.save()
