"""Switching single cures off, so that one can see the harness find what they prevent.

Workers and the API import this module; it takes away what the environment variable ``CHAOS_WITHOUT`` names (comma
separated), by putting back what Celery or kombu do. Nothing of the product knows of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.flask_celery import ContextTask

#: The environment variable that names the cures to do without.
WITHOUT = "CHAOS_WITHOUT"

#: Cures that a setting of Celery's own switches off.
_SETTINGS = {
    "acks": {"CELERY_TASK_ACKS_LATE": "false"},
    "store_retry": {"CELERY_RESULT_BACKEND_ALWAYS_RETRY": "false"},
}


def environment_without(without: frozenset[str]) -> dict[str, str]:
    """The environment variables that switch cures off."""
    return {name: value for cure in without for name, value in _SETTINGS.get(cure, {}).items()}


def _without_lease() -> None:
    """A lease begins with the delivery and is never renewed, as in kombu (kombu issue 337)."""
    from libs.flask_celery import lease

    lease.renew = lambda channel: []


def _without_restore() -> None:
    """Nobody looks for leases that are over; in kombu that takes an hour."""
    from libs.flask_celery.claimed import ClaimedMessages

    ClaimedMessages.restore_visible = lambda self, *args, **options: None


def _without_claim() -> None:
    """A message is popped, and registered as unacknowledged in a second step (kombu issue 305)."""
    from kombu.transport import redis as kombu_redis

    from libs.flask_celery.claimed import ClaimedMessages
    from libs.flask_celery.claiming import ClaimingChannelMixin

    for name in ("_brpop_start", "_brpop_read"):
        setattr(ClaimingChannelMixin, name, getattr(kombu_redis.Channel, name))
    ClaimedMessages.append = kombu_redis.QoS.append


def _without_reconcile() -> None:
    """What is in no place stays there."""
    from libs.flask_celery.reconcile import Reconciliation

    Reconciliation.run = lambda self, channel: []


def _without_survive() -> None:
    """A channel that Redis's absence has closed raises an AttributeError, which ends a busy worker."""
    from libs.flask_celery.claiming import ClaimingChannelMixin

    del ClaimingChannelMixin._get_pool


def _without_fence() -> None:
    """A run that has lost its lease may end its job as long as nobody else has."""
    from libs.flask_celery import state_store, transport

    _replace(state_store, "STORE", "if fence > 0 and fence < latest then return", "if false then return")
    _replace(
        transport, "ACCEPT", "if fence > 0 and fence < math.max(known[2] or 0, known[4] or 0) then", "if false then"
    )


def _without_final() -> None:
    """A state is stored whatever was stored before, as in Celery for all but SUCCESS."""
    from libs.flask_celery import state_store

    _replace(state_store, "STORE", "if before and final[before] then return", "if false then return")


def _without_record() -> None:
    """Nothing is written when a job is published."""
    from libs.flask_celery.transport import RecordingChannelMixin

    RecordingChannelMixin._record_place = lambda self: None


def _without_transactional() -> None:
    """A job's work is committed, and then its result is stored."""
    from libs.flask_celery import task
    from libs.flask_celery.database import job_transaction

    def run_without_completion(of: ContextTask, run: Callable[[], object]) -> object:
        with job_transaction(of.app.flask_app):
            return run()

    assert hasattr(task, "run_once")
    task.run_once = run_without_completion


def _replace(module: ModuleType, name: str, cure: str, without: str) -> None:
    """A switch that finds nothing to switch off is broken, and says so."""
    script = getattr(module, name)
    assert cure in script, f"{name} no longer has {cure!r}"
    setattr(module, name, script.replace(cure, without))


_PATCHES: dict[str, Callable[[], None]] = {
    "lease": _without_lease,
    "restore": _without_restore,
    "claim": _without_claim,
    "reconcile": _without_reconcile,
    "survive": _without_survive,
    "fence": _without_fence,
    "final": _without_final,
    "record": _without_record,
    "transactional": _without_transactional,
}

#: Every cure that can be switched off. The clients do without keys themselves.
CURES = frozenset({*_SETTINGS, *_PATCHES, "idempotency"})

for _cure in filter(None, os.environ.get(WITHOUT, "").split(",")):
    if _cure in _PATCHES:
        _PATCHES[_cure]()
