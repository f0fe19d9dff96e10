"""How a worker stops when it is told to: short jobs finish, long ones go back to their queues, in bounded time.

Celery's own soft shutdown (``WorkController.wait_for_soft_shutdown``) sleeps in the signal handler: it takes the
whole time-out when a job ends in its first second, holds up the very job it waits for in the solo pool, waits for
threads for ever after it, and acknowledges what it interrupts under gevent. Here a signal begins Celery's warm
shutdown, in which the main thread waits for what runs, and a thread of our own keeps the time:

========================  ========================================================================
signal                    does
========================  ========================================================================
SIGTERM, SIGQUIT          warm for ``worker_soft_shutdown_timeout`` seconds, then cut short
SIGINT (Ctrl-C)           warm for as long as it takes; the second one as SIGTERM
one more of them, then    cut short at once
========================  ========================================================================

With the time-out at 0, SIGTERM is Celery's: warm without an end; SIGQUIT, and Ctrl-C twice, cut short at once.
Cut short means: the messages of all that has not ended are put back, their records say PENDING, the process ends.
"""

import logging
import os
import signal
import socket
import threading
import time
from enum import IntEnum
from typing import Any, NoReturn

from celery import bootsteps, platforms, signals
from celery.platforms import EX_FAILURE, EX_OK
from celery.worker import state

from libs.flask_celery.bundles.open_bundles import open_bundles
from libs.flask_celery.cutting_short import cut_short
from libs.flask_celery.fetching_ahead import give_back_ahead
from libs.flask_celery.giving_back import give_back_waiting
from libs.flask_celery.worker_steps import consumer_channel

logger = logging.getLogger(__name__)

#: Seconds from the first signal in which the consumer closes, unless its thread is busy, as with a solo pool's job.
_CLOSING = 1.0

_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


class Stop(IntEnum):
    """How urgently the worker has been told to stop."""

    NOT = 0
    WARM = 1  # when all that runs has ended
    SOFT = 2  # the same, within the time-out
    CUT = 3  # now


def next_stop(current: Stop, number: int, timeout: float) -> Stop:
    """What one more signal makes of it."""
    if current >= Stop.SOFT:
        return Stop.CUT
    limited = Stop.SOFT if timeout > 0 else Stop.CUT
    if number == signal.SIGTERM:
        return Stop.SOFT if timeout > 0 else Stop.WARM
    return limited if number == signal.SIGQUIT or current is Stop.WARM else Stop.WARM


class SoftShutdown(bootsteps.StartStopStep):  # type: ignore[misc]
    """Takes over Celery's handlers of the signals above once the worker has set them.

    A handler of Python's runs when the main thread gets to it, which a solo pool's job may put off for minutes in
    foreign code; the wake-up descriptor is written to at once, and the thread reads it.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self._stop = Stop.NOT
        self._exitcode = EX_OK
        self._closed_by = 0.0
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        """Listen for signals; an embedded worker, outside of the main thread, leaves them to its program."""
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        try:
            # The interpreter knows its main thread; threading does not, once eventlet has replaced it.
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        except ValueError:
            return
        for number in _SIGNALS:
            platforms.signals[signal.Signals(number).name] = _leave_to_the_thread
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        threading.Thread(target=self._run, args=(worker,), name="soft-shutdown", daemon=True).start()

    def stop(self, worker: Any) -> None:
        """Goes on: the pool drains after this, and that is what the time is kept for."""

    terminate = stop

    def _run(self, worker: Any) -> None:
        timeout = float(worker.app.conf.worker_soft_shutdown_timeout or 0)
        deadline: float | None = None
        while self._stop < Stop.CUT:
            number = self._next_signal(deadline)
            if number is None:
                break
            before, self._stop = self._stop, next_stop(self._stop, number, timeout)
            if before is Stop.NOT:
                self._begin(worker, number)
            if self._stop is Stop.SOFT:
                deadline = time.monotonic() + timeout
            _announce(worker, number, self._stop, timeout, self._exitcode)
        self._end(worker)

    def _next_signal(self, deadline: float | None) -> int | None:
        """One of ours; None when the time is over."""
        while True:
            self._reader.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
            try:
                number = self._reader.recv(1)[0]
            except TimeoutError:
                return None
            if number in _SIGNALS:
                return number

    def _begin(self, worker: Any, number: int) -> None:
        self._exitcode = EX_OK if number == signal.SIGTERM else EX_FAILURE  # as Celery has it
        self._closed_by = time.monotonic() + _CLOSING
        state.should_stop = self._exitcode
        arguments = (worker, self._closed_by)
        threading.Thread(target=_give_back_waiting, args=arguments, name="giving-back", daemon=True).start()

    def _end(self, worker: Any) -> NoReturn:
        _wait_until_closed(worker, self._closed_by)
        cut_short(worker, self._exitcode)


def _leave_to_the_thread(*_: Any) -> None:
    """Without a handler of Python's nothing is written to the wake-up descriptor."""


def _give_back_waiting(worker: Any, closed_by: float) -> None:
    """Let others have at once what this worker took and has not started."""
    pool = type(worker.pool).__module__.rpartition(".")[2]
    # A thread or greenlet asks as it starts a job; a child process, and the main thread in a solo pool, do not.
    asks = pool not in ("prefork", "solo")
    closed = _wait_until_closed(worker, closed_by)
    channel = consumer_channel(worker)
    if not hasattr(channel, "lease_keys"):  # another broker gives back what was not acknowledged as it is left
        return
    try:
        give_back_ahead(channel)
        open_bundles.break_up()
        if not closed and not asks:
            return
        give_back_waiting(channel, closed=closed, dispatched_may_wait=asks)
    except Exception:
        logger.exception("What the worker had taken could not be given back; it will be when its leases are over")


def _wait_until_closed(worker: Any, deadline: float) -> bool:
    """Until the consumer takes nothing any more, or the time is over. Returns: whether it does not."""
    while worker.blueprint.state == bootsteps.RUN and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(worker.blueprint.state != bootsteps.RUN)


def _announce(worker: Any, number: int, stop: Stop, timeout: float, exitcode: int) -> None:
    name = signal.Signals(number).name
    said = {
        Stop.WARM: "the worker stops when its jobs have ended",
        Stop.SOFT: f"the worker stops; its jobs have {timeout:g} s to end",
        Stop.CUT: "the worker stops now",
    }
    logger.warning("%s: %s", name, said[stop])
    how = "Cold" if stop is Stop.CUT else "Warm"
    signals.worker_shutting_down.send(sender=worker.hostname, sig=name, how=how, exitcode=exitcode)
