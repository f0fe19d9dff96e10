"""What the pools of greenlets, gevent and eventlet, need beyond what Celery does for them.

Celery replaces the standard library's sockets, threads and sleeps as its command starts, before it imports anything
else (``celery/__init__.py``, ``maybe_patch_concurrency``). It looks for ``--pool`` on the command line alone.
"""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import signals

logger = logging.getLogger(__name__)

_PATCHED = {"gevent": ("gevent.monkey", "is_module_patched"), "eventlet": ("eventlet.patcher", "is_monkey_patched")}


def prepare() -> None:
    """Call it before the application is built, in a process that may become a worker."""
    if _is_patched("eventlet"):
        # psycopg waits for PostgreSQL in C, where no other greenlet runs. It knows gevent's replacements, and not
        # eventlet's (psycopg/waiting.py, _is_select_patched).
        waiting = import_module("psycopg.waiting")
        waiting.wait = waiting.wait_select  # type: ignore[attr-defined]
        # When Redis goes away kombu asks for each socket whether it is closed (kombu/utils/eventio.py, _remove_bad).
        # eventlet still knows who has asked before, and its answer, "second simultaneous read", ends the worker.
        sys.modules["eventlet.debug"].hub_prevent_multiple_readers(False)
    signals.celeryd_init.connect(_require_usable, weak=False, dispatch_uid=f"{__name__}.usable")
    signals.celeryd_after_setup.connect(_advise, weak=False, dispatch_uid=f"{__name__}.advice")


def _is_patched(library: str) -> bool:
    module, function = _PATCHED[library]
    return module in sys.modules and bool(getattr(sys.modules[module], function)("socket"))


def _require_usable(options: Any = None, conf: Any = None, **_: Any) -> None:
    """End a worker at its start whose pool could not run jobs side by side, with a line that says what to do."""
    library = _name(options.get("pool_cls") or conf.worker_pool)
    if library not in _PATCHED:
        return
    if find_spec(library) is None:
        what_to_do = f"pip install -r requirements-{library}.txt, or take gevent."
        sys.exit(f"taskgate: the pool {library} is not installed: {what_to_do}")
    if not _is_patched(library):
        sys.exit(f"taskgate: CELERY_WORKER_POOL={library} is read too late: start the worker with --pool {library}.")


def _advise(instance: Any = None, **_: Any) -> None:
    if _name(instance.pool_cls) == "eventlet":
        logger.warning("The pool eventlet is on its way out of Celery. Take --pool gevent, which does the same.")


def _name(pool: Any) -> str:
    """Of a pool's class, or of what stands for it on a command line."""
    return pool if isinstance(pool, str) else str(getattr(pool, "__module__", "")).rpartition(".")[2]
