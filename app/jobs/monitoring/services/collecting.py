"""One round of measuring, written to the tables of samples."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from app.jobs.monitoring.services.host import HostFigures
from app.jobs.monitoring.services.probing import Probe, probe
from app.jobs.monitoring.services.targets import Target

#: Probes at a time, of one collector.
POOL = 10


def probe_all(targets: Iterable[Target], *, probe_one: Callable[[Target], Probe] = probe) -> list[Probe]:
    """Probe each target, ``POOL`` at a time, and answer in their order."""
    with ThreadPoolExecutor(POOL, thread_name_prefix="probe") as pool:
        return list(pool.map(probe_one, targets))


def add_probes(session: Session, table: Table, probes: Iterable[Probe], *, at: datetime) -> None:
    """Add a row for each probe; ``at`` is the round's own time, so that series of targets have the same times."""
    rows = [{**asdict(one), "is_up": one.is_up, "at": at} for one in probes]
    if rows:
        session.execute(insert(table), rows)


def add_host(session: Session, table: Table, figures: HostFigures, *, at: datetime) -> None:
    """Add the row of a host."""
    session.execute(insert(table), [{**asdict(figures), "at": at}])
