"""The monitoring jobs: what beat submits, and the one that clients may.

Collecting is not offered over HTTP: a client that could start it as often as it likes would turn this service on the
operator's targets. Nor does a message say where to: it names targets, and the worker looks up in ``MONITOR_TARGETS``
what they are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import chord
from flask import current_app

from app.extensions import db
from app.jobs.monitoring.models import HostSample, MetricSummary, ProbeSample
from app.jobs.monitoring.schemas import AggregateParams, CollectAndAggregateParams, CollectParams, KeepParams
from app.jobs.monitoring.services import aggregating, collecting, keeping
from app.jobs.monitoring.services.host import measure_host
from app.jobs.queues import COLLECT, COMPUTE
from app.write_lock import PATIENCE, wait_to_write
from libs.flask_celery import current_job, job

PROBES: Any = ProbeSample.__table__
HOSTS: Any = HostSample.__table__
SUMMARIES: Any = MetricSummary.__table__

#: Targets of one collector in a chord.
GROUP = 20


@job(
    "monitoring.collect_metrics",
    params=CollectParams,
    offered=False,
    queue=COLLECT,
    soft_time_limit=90 + PATIENCE,
    time_limit=120 + PATIENCE,
)
def collect_metrics(targets: Sequence[str] | None = None, host: bool = True) -> dict[str, int]:
    """Measure this worker's host, and probe the targets of these names, or all, and keep what was found.

    A target that is down is a finding. Answers how many were probed and how many of them were up.
    """
    configured, at = current_app.extensions["monitor_targets"], datetime.now(UTC)
    names = configured if targets is None else [name for name in targets if name in configured]
    probes = collecting.probe_all([configured[name] for name in names])
    figures = measure_host(current_app.config["TASKGATE"].data_dir) if host else None
    wait_to_write(db.session())
    collecting.add_probes(db.session(), PROBES, probes, at=at)
    if figures is not None:
        collecting.add_host(db.session(), HOSTS, figures, at=at)
    return {"probed": len(probes), "up": sum(probe.is_up for probe in probes)}


@job(
    "monitoring.aggregate_metrics",
    params=AggregateParams,
    queue=COMPUTE,
    example={"minutes": 60},
    soft_time_limit=270,
    time_limit=300,
)
def aggregate_metrics(
    minutes: int = 60, until: datetime | None = None, targets: Sequence[str] | None = None, series: bool = True
) -> dict[str, Any]:
    """Reduce a window of measurements to minimum, median, 95th and 99th percentile, and each target's availability.

    Latencies are in ms and of successful probes alone; a target that did not answer, or answered with an error (400
    and above), counts against its availability. Percentiles are linearly interpolated. Hosts have their load, the use
    of processors, memory and disk in percent, and bytes sent and received a second. Answers them with series of up to
    300 points, and without those in the file metrics.csv.
    """
    start, end = aggregating.window_before(until or datetime.now(UTC), minutes)
    known = current_app.extensions["monitor_targets"] if targets is None else targets
    summaries = list(
        aggregating.summarize_targets(
            db.session(), PROBES, start=start, end=end, known=known, only=targets is not None
        )
    )
    if targets is None:
        summaries += aggregating.summarize_hosts(db.session(), HOSTS, start=start, end=end)
    with current_app.extensions["job_files"].workspace() as folder:
        path = folder / "metrics.csv"
        aggregating.write_csv(summaries, path)
        current_job.attach(path, name=path.name, content_type="text/csv")
    return aggregating.as_json(summaries, start=start, end=end, series=series)


@job(
    "monitoring.keep_summaries",
    params=KeepParams,
    offered=False,
    queue=COMPUTE,
    soft_time_limit=270 + PATIENCE,
    time_limit=300 + PATIENCE,
)
def keep_summaries(aggregated: dict[str, Any]) -> dict[str, int]:
    """Keep what ``aggregate_metrics`` has answered, without series, and delete what is older than the retention."""
    session, window = db.session(), aggregated["window"]
    start, end = (datetime.fromisoformat(window[name]) for name in ("from", "until"))
    kept = keeping.keep_summaries(session, SUMMARIES, aggregated["metrics"], start=start, end=end)
    session.commit()
    before = datetime.now(UTC) - timedelta(days=current_app.config["TASKGATE"].monitor_retention)
    times = ((PROBES, "at"), (HOSTS, "at"), (SUMMARIES, "window_end"))
    return {"kept": kept, "deleted": sum(keeping.delete_old(session, *time, before=before) for time in times)}


@job(
    "monitoring.collect_and_aggregate",
    params=CollectAndAggregateParams,
    offered=False,
    queue=COLLECT,
    time_limit=60,
)
def collect_and_aggregate(until: datetime | None = None) -> str:
    """Start the chord of the hour that ends at ``until``, or nearest to now.

    Its head are collectors, one for the host and one for each group of targets. When all have ended its body runs,
    ``aggregate_metrics``, whose id is the answer, and then ``keep_summaries``. Started again for the same hour it
    replaces what was kept of it.
    """
    names = list(current_app.extensions["monitor_targets"])
    groups = [names[first : first + GROUP] for first in range(0, len(names), GROUP)]
    collectors = [collect_metrics.si(targets=[], host=True)]
    collectors += [collect_metrics.si(targets=group, host=False) for group in groups]
    end = until or end_of_hour(datetime.now(UTC))
    aggregate = aggregate_metrics.si(minutes=60, until=end.isoformat(), series=False)
    aggregate.link(keep_summaries.s())
    body_id: str = chord(collectors)(aggregate).id
    return body_id


def end_of_hour(now: datetime) -> datetime:
    """The full hour that is nearest: what is due in its last minute may come late."""
    return (now + timedelta(minutes=30)).replace(minute=0, second=0, microsecond=0)
