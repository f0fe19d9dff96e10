"""The names of what Redis holds about jobs, so that one place decides them.

=======================================  ======  ======================================================
key, after the prefix                    type    holds
=======================================  ======  ======================================================
``celery-task-meta-<task_id>``           string  the record: Celery's result format plus our fields
``taskgate-job-<task_id>``               hash    the ledger: state, owner, task, submitted, cancel,
                                                 publication, fence, expires, deadline, the batch
                                                 that counts it, what is counted of its history,
                                                 webhook, webhook_owed, the claim of a unique task's job
``taskgate-message-<task_id>``           string  a copy of the job's message (``message_copy``)
``taskgate-events-<task_id>``            list    the newest of what has become of it (``history.scripts``)
``taskgate-log-<task_id>``               list    the newest lines of its log (``history.scripts``)
``taskgate-owner-<owner>``               zset    an owner's task ids by the time they were submitted (ms)
``taskgate-unfinished``                  zset    accepted and not final, by the time of submission (ms)
``taskgate-unfinished-by-owner``         hash    how many of them each owner has
``taskgate-failed``                      zset    the dead letters: failed jobs by the time they failed (ms)
``taskgate-failures``                    zset    all failed jobs by the time they failed, by the server's
                                                 clock (ms): ``failures``
``taskgate-terminate``                   zset    jobs whose process is to be ended, by the time it was asked
``taskgate-deadlines``                   zset    ``start``, ``end`` or ``kill`` and a task id, by the time
                                                 (ms) at which the job is late for it (``deadlines``)
``taskgate-unpublished``                 zset    jobs on their way to a broker other than Redis
``taskgate-idempotency-<digest>``        string  ``<fingerprint> <task_id>`` of an idempotency key
``taskgate-unique-<claim>``               string  the newest job under a claim (``unique``)
``taskgate-run-times``                   hash    how long the runs of each task take on average (ms)
``taskgate-counts``                      hash    what has been counted since the first job
                                                 (``figures.counting``)
``taskgate-throughput``                  list    samples of them (``figures.throughput``)
``taskgate-workers``                     hash    what each worker says of itself, and when it last did:
``taskgate-workers-seen``                zset    ``figures.worker_signs``
``taskgate-webhooks-due``                set     owners to whom webhooks are owed
``taskgate-webhooks-due-<owner>``        zset    their ended jobs, by the time of the end (ms); the
                                                 application takes them from there
``taskgate-retired``                     zset    ledger entries by the time they may be forgotten (ms)
``taskgate-batch-<batch_id>``            hash    a batch: owner, submitted, total, its jobs by state, what of it
                                                 is left (see ``batches.scripts``)
``taskgate-batch-jobs-<batch_id>``       zset    its task ids by their place in it
``taskgate-batch-others-<batch_id>``     hash    place → outcome (JSON) of the items that became no job of it
``taskgate-batch-then-<batch_id>``       string  the message of its ``then``, until that is submitted
``taskgate-batches-<owner>``             zset    an owner's batches by the time they were submitted (ms)
``taskgate-batches-due``                 zset    batches that are over and whose ``then`` is to be submitted
``taskgate-batches-retired``             zset    ``<batch_id> <owner>`` by the time they may be forgotten (ms)
``taskgate-limit-<task>``                hash    with another broker than Redis: as in ``place_scripts``
``taskgate-file-sweep``                  string  there while no sweep of files is due (``file_sweeper``)
=======================================  ======  ======================================================

The ledger outlives the record: it is what tells *expired* (410) from *never heard of* (404), and what the
scripts look at, so that they never have to read a serialised result. All of these live in the result database; what
the broker's database holds is in ``place_scripts``. The scripts make these names too.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """Key names under one prefix (empty, or the deployment's)."""

    prefix: str = ""

    def meta(self, task_id: str) -> str:
        """The record that every Celery client reads (``celery/backends/base.py``, ``task_keyprefix``)."""
        return f"{self.prefix}celery-task-meta-{task_id}"

    def ledger(self, task_id: str) -> str:
        """What the scripts decide on."""
        return f"{self.prefix}taskgate-job-{task_id}"

    def message(self, task_id: str) -> str:
        """What runs the job again: until it is final when its message is lost, and after that on request."""
        return f"{self.prefix}taskgate-message-{task_id}"

    def events(self, task_id: str) -> str:
        """What has become of it; also the channel on which new log lines are told."""
        return f"{self.prefix}taskgate-events-{task_id}"

    def log(self, task_id: str) -> str:
        """What its runs have said."""
        return f"{self.prefix}taskgate-log-{task_id}"

    def owner(self, owner: str) -> str:
        """The index of one owner's jobs."""
        return f"{self.prefix}taskgate-owner-{owner}"

    @property
    def unfinished(self) -> str:
        """All jobs that are not final."""
        return f"{self.prefix}taskgate-unfinished"

    @property
    def failed(self) -> str:
        """The newest failed jobs."""
        return f"{self.prefix}taskgate-failed"

    @property
    def failures(self) -> str:
        """The newest failed jobs, those that were run again or dropped since among them."""
        return f"{self.prefix}taskgate-failures"

    @property
    def terminate(self) -> str:
        """Running jobs that were cancelled the hard way."""
        return f"{self.prefix}taskgate-terminate"

    def idempotency(self, name: str) -> str:
        """What was submitted under an idempotency key; ``name`` is the digest of its owner and the key."""
        return f"{self.prefix}taskgate-idempotency-{name}"

    def unique(self, claim: str) -> str:
        """The newest job of a unique task, by the claim that all such jobs have."""
        return f"{self.prefix}taskgate-unique-{claim}"

    @property
    def deadlines(self) -> str:
        """What is to be done with jobs that are late."""
        return f"{self.prefix}taskgate-deadlines"

    @property
    def run_times(self) -> str:
        """The tasks' mean run times."""
        return f"{self.prefix}taskgate-run-times"

    @property
    def counts(self) -> str:
        """What has been accepted and has ended, by task."""
        return f"{self.prefix}taskgate-counts"

    @property
    def unpublished(self) -> str:
        """Jobs whose record is written and whose message is not yet known to be with the broker."""
        return f"{self.prefix}taskgate-unpublished"

    def batch(self, batch_id: str) -> str:
        """What is known of a batch as a whole."""
        return f"{self.prefix}taskgate-batch-{batch_id}"

    def batch_jobs(self, batch_id: str) -> str:
        """Its jobs in their order."""
        return f"{self.prefix}taskgate-batch-jobs-{batch_id}"

    def batch_others(self, batch_id: str) -> str:
        """Its items that became no job of it."""
        return f"{self.prefix}taskgate-batch-others-{batch_id}"

    def batch_then(self, batch_id: str) -> str:
        """What is to be published when it is over."""
        return f"{self.prefix}taskgate-batch-then-{batch_id}"

    def owner_batches(self, owner: str) -> str:
        """The index of one owner's batches."""
        return f"{self.prefix}taskgate-batches-{owner}"

    @property
    def batches_due(self) -> str:
        """Batches that are over and wait for their ``then``."""
        return f"{self.prefix}taskgate-batches-due"
