"""Each setting of the notes takes effect, shown by what running workers do: by its old name, by its new one, in code.

Three installations, each with as many settings as do not get in each other's way.
"""

from __future__ import annotations

import base64
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgpack
import pytest
import yaml
from kombu.compression import decompress
from redis import Redis

from app.jobs.celery_settings import CELERY_SETTINGS
from libs.flask_celery import BroadcastQueueError, JobRecord, JobState, submit
from libs.flask_celery.old_names import old_names as known_old_names
from tests.conftest import Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs, start_probe_worker
from tests.installation import API
from tests.notes.python_settings import SETTINGS

#: Under the names of before Celery 4, wherever these differ from today's.
OLD_NAMES = {
    "BROKER_URL": "{redis}/5",
    "BROKER_POOL_LIMIT": "2",
    "CELERY_RESULT_BACKEND": "{redis}/6",
    "CELERY_TIMEZONE": "Asia/Shanghai",
    "CELERY_ACCEPT_CONTENT": "json,msgpack",
    "CELERY_TASK_SERIALIZER": "msgpack",
    "CELERY_RESULT_SERIALIZER": "msgpack",
    "CELERY_MESSAGE_COMPRESSION": "zlib",
    "CELERY_TASK_RESULT_EXPIRES": "3600",
    "CELERY_MAX_CACHED_RESULTS": "2",
    "CELERY_REDIRECT_STDOUTS_LEVEL": "ERROR",
    "CELERY_DEFAULT_QUEUE": "work",
    "CELERY_TRACK_STARTED": "true",
    "CELERY_ACKS_LATE": "true",
    "CELERYD_CONCURRENCY": "3",
    "CELERYD_PREFETCH_MULTIPLIER": "2",
    "CELERYD_MAX_TASKS_PER_CHILD": "3",
    "CELERY_ANNOTATIONS": json.dumps({"probe.note_start_slowly": {"rate_limit": "2/s"}}),
}

#: With those of ``python_settings``. The broker and the results are where the product puts them.
NEW_NAMES = {
    "TZ": "Asia/Shanghai",
    "CELERY_ENABLE_UTC": "false",
    "CELERY_TASK_SERIALIZER": "yaml",
    "CELERY_RESULT_SERIALIZER": "yaml",
    "CELERY_TASK_COMPRESSION": "bzip2",
    "CELERY_TASK_ACKS_LATE": "false",
}

IN_JSON = {
    "ALLOW_PICKLE": "true",
    "C_FORCE_ROOT": "true",  # Celery's own, for a worker that unpickles as root, which tests may be
    "CELERY_TASK_SERIALIZER": "pickle",
    "CELERY_RESULT_SERIALIZER": "pickle",
    "CELERY_QUEUES": json.dumps(
        {
            "default": {"exchange": "default", "exchange_type": "direct", "routing_key": "default"},
            "letters": {"exchange": "post", "exchange_type": "direct", "routing_key": "letter"},
            "parts": {"exchange": "warehouse", "exchange_type": "topic", "routing_key": "parts.#"},
            "everyone": {"exchange": "news", "exchange_type": "fanout"},
        }
    ),
    "CELERY_ROUTES": json.dumps({"probe.where_am_i": {"queue": "letters"}}),
    "CELERY_ANNOTATIONS": json.dumps({"*": {"rate_limit": "1/h"}}),
    "CELERY_DISABLE_RATE_LIMITS": "true",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "1",
    "CELERYD_TASK_TIME_LIMIT": "2",
}

#: The application of the workers, without the settings of ``python_settings`` and with them.
PLAIN = "libs.flask_celery:celery_app"
IN_PYTHON = "tests.notes.configured_app:celery_app"

UNSERIALIZE: dict[str, Callable[[bytes], Any]] = {
    "x-msgpack": msgpack.loads,
    "x-yaml": yaml.safe_load,
    "x-python-serialize": pickle.loads,
}


class Settled:
    """An installation under some settings, with the databases that these name."""

    def __init__(
        self,
        runs: JobRuns,
        worker: Worker,
        broker: int,
        results: int,
        application: str = "libs.flask_celery:celery_app",
    ) -> None:
        self.runs, self.worker, self.application = runs, worker, application
        self.broker = Redis.from_url(runs.installation.redis.url, db=broker)
        self.results = Redis.from_url(runs.installation.redis.url, db=results)

    def __enter__(self) -> Settled:
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.close()
        self.results.close()

    def raw_record(self, task_id: str) -> bytes:
        record: bytes = self.results.get(f"celery-task-meta-{task_id}")
        return record

    def raw_message(self, queue: str, task_id: str) -> dict[str, Any]:
        [message] = [entry for entry in self.broker.lrange(queue, 0, -1) if task_id.encode() in entry]
        read: dict[str, Any] = json.loads(message)
        return read

    def is_leased(self, task_id: str) -> bool:
        return any(task_id.encode() in message for message in self.broker.hvals("unacked"))


@contextmanager
def second_worker(settled: Settled, *options: str, **more: str) -> Iterator[Worker]:
    installation = settled.runs.installation
    environment, log = {**installation.environment, **more}, installation.folder / "second.log"
    worker = Worker(environment, log, *LOAD_PROBES, "--pool", "solo", *options, application=settled.application)
    try:
        yield worker.wait_ready()
    finally:
        worker.stop()


@pytest.fixture(scope="module")
def old_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    with (
        job_runs(tmp_path_factory.mktemp("old"), **OLD_NAMES) as runs,
        Settled(runs, start_probe_worker(runs), broker=5, results=6) as settled,
    ):
        yield settled


@pytest.fixture(scope="module")
def in_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in SETTINGS.items():
            patch.setitem(CELERY_SETTINGS, name, value)
        runs = stack.enter_context(job_runs(tmp_path_factory.mktemp("python"), **NEW_NAMES))
        worker = Worker(
            runs.installation.environment,
            runs.installation.folder / "worker.log",
            *(*LOAD_PROBES, "--pool", "threads", "--concurrency", "4"),
            application=IN_PYTHON,
        )
        stack.callback(worker.stop)
        yield stack.enter_context(Settled(runs, worker.wait_ready(), 2, 1, IN_PYTHON))


@pytest.fixture(scope="module")
def in_json(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    with (
        job_runs(tmp_path_factory.mktemp("json"), **IN_JSON) as runs,
        Settled(runs, start_probe_worker(runs, "--concurrency", "2"), broker=2, results=1) as settled,
    ):
        yield settled


@pytest.fixture(params=["old_names", "in_python", "in_json"])
def settled(request: pytest.FixtureRequest) -> Settled:
    found: Settled = request.getfixturevalue(request.param)
    return found


# Serialisation, compression, and where everything is.


@pytest.mark.parametrize(
    ("where", "content_type", "compression", "queue"),
    [
        ("old_names", "x-msgpack", "application/x-gzip", "work"),
        ("in_python", "x-yaml", "application/x-bz2", "default"),
        ("in_json", "x-python-serialize", None, "default"),
    ],
)
def test_messages_and_records_are_in_their_databases_as_the_settings_say(
    where: str, content_type: str, compression: str | None, queue: str, request: pytest.FixtureRequest
) -> None:
    settled: Settled = request.getfixturevalue(where)
    waiting = settled.runs.publish("double", "value", queue="nobodys").id

    message = settled.raw_message("nobodys", waiting)
    body = base64.b64decode(message["body"])
    assert message["content-type"] == f"application/{content_type}"
    assert message["headers"].get("compression") == compression
    args, kwargs, _ = UNSERIALIZE[content_type](decompress(body, compression) if compression else body)
    assert (list(args), kwargs) == (["value"], {})
    assert UNSERIALIZE[content_type](settled.raw_record(waiting))["status"] == "PENDING"

    ended = settled.runs.run("double", "value")
    record = UNSERIALIZE[content_type](settled.raw_record(ended.task_id))
    assert (record["status"], record["result"], record["queue"]) == ("SUCCESS", ["value", "value"], queue)


def test_a_client_sees_its_jobs_whatever_they_are_serialised_in(settled: Settled) -> None:
    client, auth = settled.runs.installation.client, settled.runs.installation.headers()

    def get(path: str) -> Any:
        return client.get(f"{API}/{path}", headers=auth).json

    def ended(task_id: str) -> Any:
        settled.runs.ended(task_id)
        return get(f"results/{task_id}")

    task_id = client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=auth).json["task_id"]
    assert (ended(task_id)["state"], ended(task_id)["result"]) == ("SUCCESS", 3)

    again = client.post(f"{API}/jobs/{task_id}/retry", headers=auth).json["task_id"]
    assert ended(again)["result"] == 3

    items = [{"task": "maintenance.adds", "params": {"a": number, "b": 0}} for number in (1, 2)]
    batch = client.post(f"{API}/batches", json=items, headers=auth).json
    assert [ended(outcome["task_id"])["result"] for outcome in batch["outcomes"]] == [1, 2]

    waiting = settled.runs.publish("double", 1, by="ann", queue="nobodys").id
    assert waiting in [job["task_id"] for job in get("jobs?state=PENDING")["jobs"]]
    assert client.delete(f"{API}/jobs/{waiting}", headers=auth).status_code == 202
    assert get(f"results/{waiting}")["state"] == "REVOKED"
    listed = {job["task_id"] for job in get("jobs?state=SUCCESS")["jobs"]}
    assert {task_id, again, *(outcome["task_id"] for outcome in batch["outcomes"])} <= listed
    assert waiting not in listed

    failed = settled.runs.run("fail", by="ann").task_id
    assert get(f"results/{failed}")["error"] == {"type": "ValueError", "message": "told to fail"}


@pytest.mark.parametrize(
    ("where", "job", "shown"),
    [
        ("old_names", "return_bytes", {"raw": "/wA=", "text": "abc"}),
        ("in_python", "return_date", {"when": "2026-01-02T03:04:05+00:00", "few": [1, 2]}),
        ("in_json", "return_any_keys", {"1": "one", "[1, 2]": "two"}),
    ],
)
def test_a_client_is_shown_in_json_what_json_cannot_say(
    where: str, job: str, shown: Any, request: pytest.FixtureRequest
) -> None:
    runs = request.getfixturevalue(where).runs
    task_id = runs.run(job, *([1] if job == "return_any_keys" else []), by="ann").task_id

    answer = runs.installation.client.get(f"{API}/results/{task_id}", headers=runs.installation.headers())

    assert (answer.status_code, answer.json["result"]) == (200, shown)


def test_a_result_that_could_not_be_read_again_is_a_failure(old_names: Settled) -> None:
    """msgpack packs keys that it does not unpack."""
    record = old_names.runs.run("return_any_keys")

    assert record.state is JobState.FAILURE
    assert record.failure is not None
    assert record.failure.type == "EncodeError"


def test_pickle_carries_python_objects_there_and_back(in_json: Settled) -> None:
    assert in_json.runs.run("double", {1, 2}).result == [{1, 2}, {1, 2}]


def test_what_is_not_accepted_is_not_run(old_names: Settled) -> None:
    refused = old_names.runs.ended(old_names.runs.publish("double", 1, serializer="yaml").id)

    assert refused.state is JobState.FAILURE
    assert refused.failure is not None
    assert "untrusted content of type yaml" in refused.failure.message


# Times, and how long a result is there.


@pytest.mark.parametrize("where", ["old_names", "in_python"])
def test_the_time_zone_is_that_of_the_settings(where: str, request: pytest.FixtureRequest) -> None:
    """CELERY_TIMEZONE in the first; in the other the host's own, since CELERY_ENABLE_UTC is off."""
    runs = request.getfixturevalue(where).runs

    now = datetime.fromisoformat(runs.run("tell_time").result)

    assert now.utcoffset() == timedelta(hours=8)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_result_expires(old_names: Settled) -> None:
    task_id = old_names.runs.run("answer", 1).task_id

    assert 3_500 < old_names.results.ttl(f"celery-task-meta-{task_id}") <= 3_600


def test_only_so_many_results_are_cached(old_names: Settled) -> None:
    backend = old_names.runs.celery.backend
    jobs = [old_names.runs.run("answer", number).task_id for number in range(3)]
    assert [backend.get_task_meta(job)["result"] for job in jobs] == [0, 1, 2]

    for job in jobs:
        backend.client.delete(backend.keys.meta(job))

    assert [backend.get_task_meta(job)["status"] for job in jobs] == ["PENDING", "SUCCESS", "SUCCESS"]


def test_with_ignore_result_the_end_is_known_and_the_value_is_not(in_json: Settled) -> None:
    runs = in_json.runs

    def answer(queue: str) -> JobRecord:
        publisher = runs.publish("publish_answer", queue=queue).id
        return runs.ended(runs.notes(publisher)[0]["published"])

    with second_worker(in_json, "-Q", "ignoring", CELERY_IGNORE_RESULT="true"):
        ignored = answer("ignoring")
    kept = answer("default")

    assert (ignored.state, ignored.result) == (JobState.SUCCESS, None)
    assert (kept.state, kept.result) == (JobState.SUCCESS, "a value")


# How a worker works.


def test_each_old_name_is_warned_of_once_in_a_worker(old_names: Settled) -> None:
    warned = [
        line.split()[0] for line in old_names.worker.log.splitlines() if " is an old name; write CELERY_" in line
    ]

    assert Counter(warned) == Counter(name for name in OLD_NAMES if name in known_old_names())
    assert "CELERYD_CONCURRENCY" in warned


def test_no_more_connections_than_the_pool_has(old_names: Settled) -> None:
    published = old_names.runs.run("use_connections").result

    assert 1 <= len(published) <= 2
    assert {old_names.runs.ended(task_id).result for task_id in published} == {1}


def test_what_a_job_prints_is_logged_at_the_level_that_is_set(old_names: Settled) -> None:
    line = f"said {uuid4()}"
    old_names.runs.run("print", line)

    wait_until(lambda: line in old_names.worker.log, what="the line in the log")
    [logged] = [entry for entry in old_names.worker.log.splitlines() if line in entry]
    assert ": ERROR/" in logged


def test_so_many_run_and_so_many_more_are_fetched(old_names: Settled) -> None:
    """3 processes, twice as many messages; a seventh stays in the queue, and each is leased until it has ended."""
    runs = old_names.runs
    jobs = [runs.publish("wait").id for _ in range(8)]
    try:
        wait_until(lambda: sum(map(old_names.is_leased, jobs)) == 6, what="the six that are fetched")
        wait_until(lambda: sum(map(runs.noted, jobs)) == 3, what="the three that run")
        running = [job for job in jobs if runs.noted(job)]
        assert {runs.state(job) for job in running} == {JobState.STARTED}
        assert {runs.state(job) for job in jobs if job not in running} == {JobState.PENDING}
        assert old_names.broker.llen("work") == 2
        assert all(map(old_names.is_leased, running))
    finally:
        for job in jobs:
            runs.say_go(job)
    assert {runs.ended(job).state for job in jobs} == {JobState.SUCCESS}


def test_without_acks_late_a_job_is_acknowledged_before_it_runs(in_python: Settled) -> None:
    task_id = in_python.runs.publish("wait").id
    in_python.runs.notes(task_id)

    assert in_python.runs.state(task_id) is JobState.STARTED
    assert not in_python.is_leased(task_id)
    in_python.runs.say_go(task_id)
    assert in_python.runs.ended(task_id).state is JobState.SUCCESS


def test_a_process_is_replaced_after_so_many_jobs(old_names: Settled) -> None:
    pids = Counter(old_names.runs.run("where_am_i").result["pid"] for _ in range(10))

    assert max(pids.values()) <= 3


def test_a_job_that_takes_too_long_is_told_and_then_ended(in_json: Settled) -> None:
    told, ended = in_json.runs.publish("take_long", False).id, in_json.runs.publish("take_long", True).id

    assert in_json.runs.ended(told).result == "told to hurry"
    failure = in_json.runs.ended(ended).failure
    assert failure is not None
    assert failure.type == "TimeLimitExceeded"


def starts(runs: JobRuns, job: str, count: int) -> list[float]:
    """When so many jobs began that were published together, in seconds after the first."""
    group = f"group {uuid4()}"
    for _ in range(count):
        runs.publish(job, group)
    times = sorted(note["at"] for note in runs.notes(group, count))
    return [at - times[0] for at in times]


def test_the_rate_of_one_task_is_limited(old_names: Settled) -> None:
    assert starts(old_names.runs, "note_start_slowly", 3)[-1] > 0.8  # two at 2/s after the first


def test_the_rate_of_every_task_is_limited(in_python: Settled) -> None:
    assert starts(in_python.runs, "note_start", 6)[-1] > 0.8  # five at 5/s after the first


def test_rate_limits_can_be_disabled(in_json: Settled) -> None:
    assert starts(in_json.runs, "note_start", 3)[-1] < 60  # it is one an hour


def test_a_hook_for_all_tasks_hears_of_every_failure(in_python: Settled) -> None:
    task_id = in_python.runs.run("fail").task_id

    assert in_python.runs.notes(task_id) == [{"failed": "probe.fail", "because": "told to fail", "app": "taskgate"}]


# Queues: of kombu's objects in one installation, of dicts in the other.


@pytest.fixture(params=["in_python", "in_json"])
def with_queues(request: pytest.FixtureRequest) -> Settled:
    found: Settled = request.getfixturevalue(request.param)
    return found


def test_a_task_is_routed_by_its_name(with_queues: Settled) -> None:
    record = with_queues.runs.run("where_am_i")

    assert with_queues.runs.notes(record.task_id)[0]["routing_key"] in ("letter", "letters")
    assert record.queue in ("letter", "letters")


def test_a_direct_exchange_takes_the_key_it_is_bound_by(with_queues: Settled) -> None:
    publish = with_queues.runs.celery.send_task
    sent = publish("probe.where_am_i", exchange="post", routing_key="letter", queue=None)

    with_queues.runs.ended(sent.id)
    found = with_queues.runs.notes(sent.id)[0]
    assert (found["exchange"], found["routing_key"]) == ("post", "letter")


def test_a_topic_exchange_takes_the_keys_of_its_pattern(with_queues: Settled) -> None:
    sent = with_queues.runs.publish("where_am_i", queue="parts", exchange="warehouse", routing_key="parts.bolts.m8")

    record = with_queues.runs.ended(sent.id)
    found = with_queues.runs.notes(sent.id)[0]
    assert (found["exchange"], found["routing_key"]) == ("warehouse", "parts.bolts.m8")
    assert record.state is JobState.SUCCESS


def test_a_fanout_exchange_reaches_every_worker(with_queues: Settled) -> None:
    runs = with_queues.runs
    with second_worker(with_queues, "-Q", "everyone") as second:
        sent = runs.publish("where_am_i", queue="everyone")
        assert {note["worker"] for note in runs.notes(sent.id, 2)} == {with_queues.worker.name, second.name}

    assert runs.ended(sent.id).state is JobState.SUCCESS


def test_what_a_client_submits_is_never_broadcast(with_queues: Settled) -> None:
    runs = with_queues.runs
    with runs.installation.app.app_context(), pytest.raises(BroadcastQueueError, match="fanout exchange news"):
        submit(runs.celery, "maintenance.adds", {"a": 1, "b": 2}, queue="everyone")
