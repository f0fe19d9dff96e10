"""One Redis, two Celeries: what each leaves there is left alone by the other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from redis import Redis

from app.api_keys import Scope
from examples.django_site.tests.running_site import (
    WORKER_NAME,
    RunningSite,
    Visitor,
    received,
    running_site,
    task_id_of,
)
from tests.conftest import wait_until
from tests.installation import API, assert_problem

#: Seconds after which Taskgate gives back what is held without a word from its worker, and twice that for what is
#: in no place; short, so that a test can outwait both.
VISIBILITY_TIMEOUT = 2
OUTWAITED = 2 * VISIBILITY_TIMEOUT + 1

#: What the site's worker holds is in the first; Taskgate's, and that of any other stock worker, in the second.
HELD = ("django_site.unacked", "unacked")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    options = json.dumps({"visibility_timeout": VISIBILITY_TIMEOUT, "unacked_restore_interval": 0.5})
    with running_site(tmp_path_factory.mktemp("sharing"), CELERY_BROKER_TRANSPORT_OPTIONS=options) as site:
        yield site


@pytest.fixture
def broker(site: RunningSite) -> Iterator[Redis]:
    with Redis.from_url(site.taskgate.redis.url, db=2, decode_responses=True) as client:
        yield client


@pytest.fixture
def visitor(site: RunningSite) -> Iterator[Visitor]:
    with site.visitor() as visitor:
        yield visitor


def submitted(site: RunningSite, call: str) -> str:
    """The task id of what is submitted by code of the site that no page of it runs."""
    return site.run(
        "-c", f"from django_site.celery import app; from django_site import taskgate; print({call}.id)"
    ).strip()


def outcome(site: RunningSite, task_id: str) -> list[str]:
    """State and value as the site's ``AsyncResult`` has them, from Celery's own backend."""
    code = f"result = app.AsyncResult({task_id!r}); value = result.get(timeout=30, propagate=False)"
    said = "import json; print(json.dumps([result.state, type(value).__name__, str(value)]))"
    return json.loads(site.run("-c", f"from django_site.celery import app; {code}; {said}"))


def control(site: RunningSite, command: str, queue: str) -> None:
    """Of the site's worker."""
    code = f"print(app.control.{command}({queue!r}, reply=True, timeout=20, limit=1))"
    assert WORKER_NAME in site.run("-c", f"from django_site.celery import app; {code}")


def has_looked(broker: Redis) -> float:
    """The time, by the server's clock, at which Taskgate's worker has last looked for leases that are over."""
    return float(broker.hget("taskgate-looks", "last") or 0)


def outwait(broker: Redis) -> None:
    """Until Taskgate's worker has looked for what is lost for longer than it lets anything be lost."""
    wait_until(lambda: has_looked(broker), what="a first look")
    began = has_looked(broker)
    wait_until(lambda: has_looked(broker) > began + OUTWAITED, what="the looks")


def test_what_the_sites_worker_holds_is_not_given_back_by_taskgates(site: RunningSite, broker: Redis) -> None:
    """A stock worker holds a job for later in its memory, and renews no lease of it."""
    task_id = submitted(site, f"app.send_task('site.shout', ['held'], countdown={OUTWAITED + 2})")
    wait_until(lambda: task_id in str([broker.hvals(name) for name in HELD]), what="a held message")

    outwait(broker)

    assert [seen for _, seen in received(site.worker_log)].count(task_id) == 1
    assert outcome(site, task_id) == ["SUCCESS", "str", "HELD!"]
    assert [seen for _, seen in received(site.worker_log)].count(task_id) == 1


def test_what_waits_for_the_sites_worker_and_what_it_has_stored_stay(
    site: RunningSite, broker: Redis, visitor: Visitor
) -> None:
    stored = visitor.submitted("/shout/", text="stored")
    assert visitor.result(stored) == "STORED!"
    control(site, "cancel_consumer", "django_site")
    waiting = visitor.submitted("/shout/", text="waiting")
    [message] = broker.lrange("django_site", 0, -1)
    assert task_id_of(waiting) in message

    outwait(broker)

    assert broker.lrange("django_site", 0, -1) == [message]
    assert visitor.result(stored) == "STORED!"
    control(site, "add_consumer", "django_site")
    assert visitor.result(waiting) == "WAITING!"


def test_a_purge_of_the_sites_queue_leaves_taskgates_alone(
    site: RunningSite, broker: Redis, visitor: Visitor
) -> None:
    with site.taskgate_paused():
        control(site, "cancel_consumer", "django_site")
        visitor.submitted("/shout/", text="never")
        address = visitor.submitted("/", a="1", b="2")

        site.run("-m", "celery", "-A", "django_site", "purge", "--force")

        assert (broker.llen("django_site"), broker.llen("default")) == (0, 1)
    control(site, "add_consumer", "django_site")
    assert visitor.result(address) == "3"


def test_params_that_taskgate_refuses_are_a_failure_that_the_site_can_read(site: RunningSite) -> None:
    state, kind, message = outcome(site, submitted(site, "taskgate.add('one', 2)"))

    assert (state, kind) == ("FAILURE", "InvalidParamsError")
    assert "Not a valid integer." in message


def test_the_http_api_shows_the_sites_jobs_to_nobody_but_an_admin(site: RunningSite, visitor: Visitor) -> None:
    client, headers = site.taskgate.client, site.taskgate.headers("ann")
    addresses = [visitor.submitted("/shout/", text="mine"), visitor.submitted("/", a="1", b="2")]
    assert [visitor.result(address) for address in addresses] == ["MINE!", "3"]
    polls = [f"{API}/results/{task_id_of(address)}" for address in addresses]

    for poll in polls:
        assert_problem(client.get(poll, headers=headers), 404)
    assert client.get(f"{API}/jobs", headers=headers).json["jobs"] == []
    admin = site.taskgate.headers("root", Scope.READ, Scope.ADMIN)
    assert [client.get(poll, headers=admin).json["result"] for poll in polls] == ["MINE!", 3]


def test_inspect_reaches_each_ones_own_worker(site: RunningSite) -> None:
    asked = json.loads(site.run("-m", "celery", "-A", "django_site", "inspect", "ping", "--json"))
    ours = site.taskgate.app.extensions["celery"].control.inspect(timeout=2).ping()

    assert asked == {WORKER_NAME: {"ok": "pong"}}
    assert ours == {site.taskgate_worker.name: {"ok": "pong"}}
