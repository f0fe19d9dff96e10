"""The figures of the whole deployment as Prometheus reads them: the same whichever process is asked."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.flask_celery import BUCKETS, BrokerFigures, Counts, Figures, TaskTimes, WorkerSign

_BOUNDS = [*(f"{bound / 1000:g}" for bound in BUCKETS), "+Inf"]


class DeploymentMetrics(Collector):
    """Of figures that have been read; None when Redis did not answer."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Each as Prometheus names it: seconds, totals."""
        figures = self._figures
        yield _gauge("taskgate_redis_up", "Whether Redis answered: 1 or 0.", figures is not None)
        if figures is None:
            return
        yield from _of_counts(figures.counts)
        yield _gauge("taskgate_jobs_unfinished", "Jobs accepted and not over.", figures.unfinished)
        yield _gauge(
            "taskgate_oldest_unfinished_job_seconds",
            "Seconds since the oldest job that is not over was submitted; 0 when there is none.",
            figures.oldest_unfinished or 0.0,
        )
        yield _gauge("taskgate_dead_letters", "Failed jobs that can be run again or dropped.", figures.failed)
        yield _gauge("taskgate_webhook_owners_due", "Principals to whom webhooks are owed.", figures.webhooks_owed)
        yield _gauge("taskgate_beat_up", "Whether a beat looks after the schedules: 1 or 0.", figures.beat_leads)
        yield from _of_workers(figures.workers)
        if figures.broker is not None:
            yield from _of_broker(figures.broker)


def _of_counts(counts: Counts) -> Iterator[Metric]:
    accepted = CounterMetricFamily("taskgate_jobs_accepted", "Jobs accepted.", labels=["task"])
    for task, count in sorted(counts.accepted.items()):
        accepted.add_metric([task], count)
    yield accepted
    ended = CounterMetricFamily("taskgate_jobs_ended", "Jobs over, by how they ended.", labels=["task", "state"])
    for (task, state), count in sorted(counts.ended.items()):
        ended.add_metric([task, state], count)
    yield ended
    runs = CounterMetricFamily(
        "taskgate_job_runs", "Runs of jobs, by how they ended; a job may have several.", labels=["task", "outcome"]
    )
    for (task, outcome), count in sorted(counts.outcomes.items()):
        runs.add_metric([task, outcome], count)
    yield runs
    yield _histogram("taskgate_job_run_seconds", "Seconds that the last run of a job took.", counts.runs)
    yield _histogram("taskgate_job_wait_seconds", "Seconds from when a job could run until it began.", counts.waits)


def _of_workers(workers: Mapping[str, WorkerSign]) -> Iterator[Metric]:
    yield _gauge("taskgate_workers", "Workers that live.", len(workers))
    slots = GaugeMetricFamily("taskgate_worker_slots", "Jobs that a worker can run at once.", labels=["worker"])
    running = GaugeMetricFamily("taskgate_worker_running_jobs", "Jobs that a worker runs.", labels=["worker"])
    memory = GaugeMetricFamily(
        "taskgate_worker_resident_memory_bytes", "Memory of a worker's processes together.", labels=["worker"]
    )
    cpu = CounterMetricFamily(
        "taskgate_worker_cpu_seconds", "Processor time of a worker's processes together.", labels=["worker"]
    )
    of_queues: dict[str, int] = {}
    for name, sign in sorted(workers.items()):
        slots.add_metric([name], sign.slots)
        running.add_metric([name], sign.running)
        memory.add_metric([name], sign.memory)
        cpu.add_metric([name], sign.cpu)
        for queue in sign.queues:
            of_queues[queue] = of_queues.get(queue, 0) + sign.slots
    yield from (slots, running, memory, cpu)
    taken = GaugeMetricFamily(
        "taskgate_queue_slots", "Slots of the workers that take jobs from a queue.", labels=["queue"]
    )
    for queue, count in sorted(of_queues.items()):
        taken.add_metric([queue], count)
    yield taken


def _of_broker(broker: BrokerFigures) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("taskgate_queue_jobs", "Jobs that wait in a queue.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "taskgate_queue_oldest_seconds",
        "Seconds for which the next job of a queue has been waiting there; 0 when none waits.",
        labels=["queue"],
    )
    for queue, figures in sorted(broker.queues.items()):
        waiting.add_metric([queue], figures.waiting)
        oldest.add_metric([queue], figures.oldest or 0.0)
    yield waiting
    yield oldest
    yield _gauge("taskgate_leased_jobs", "Jobs that workers have taken.", broker.held)
    yield _gauge("taskgate_delayed_jobs", "Jobs that wait for their time.", broker.delayed)
    yield _gauge(
        "taskgate_rate_limited_jobs", "Jobs that wait for a turn of a rate limit of all workers.", broker.in_line
    )
    yield _gauge("taskgate_quarantined_jobs", "Jobs that wait for a worker that knows them.", broker.quarantined)
    yield _gauge("taskgate_unreadable_messages", "Messages that no worker can run.", broker.unreadable)


def _histogram(name: str, text: str, by_task: Mapping[str, TaskTimes]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["task"])
    for task, times in sorted(by_task.items()):
        family.add_metric([task], list(zip(_BOUNDS, accumulate(times.by_bucket), strict=True)), times.seconds)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
