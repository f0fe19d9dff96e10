"""A host that is cut off from the others and joined again harms no job and needs no restart."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conftest import wait_until
from tests.hosts.conftest import VISIBILITY_TIMEOUT, WORKERS, Hosts

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _plugged_in_again(hosts: Hosts) -> Iterator[None]:
    yield
    for host in hosts.hosts.values():
        host.plug_in()


def cut_off_the_host_that_runs(hosts: Hosts, label: str) -> tuple[str, str]:
    """Unplug it and wait until the job runs on the other one. Returns: the two hosts."""
    wait_until(lambda: hosts.noted(label, "started"), what="the first start")
    (first,) = hosts.noted(label, "started")
    hosts.hosts[first].unplug()
    unplugged = time.monotonic()
    wait_until(lambda: len(hosts.noted(label, "started")) == 2, what="the start elsewhere")
    second = hosts.noted(label, "started")[1]
    assert second != first
    assert time.monotonic() - unplugged < VISIBILITY_TIMEOUT * 2 + 5
    return first, second


def assert_both_go_on(hosts: Hosts, label: str) -> None:
    """Each takes one of two jobs, with the process that it has had all along."""
    jobs = {f"{label}-{number}": hosts.submit(f"{label}-{number}") for number in (1, 2)}
    wait_until(
        lambda: sorted(name for job in jobs for name in hosts.noted(job, "started")) == WORKERS, what="both starts"
    )
    for job, task_id in jobs.items():
        hosts.say_go(job, *WORKERS)
        assert hosts.ended(task_id)["successful"]
    assert [hosts.processes[name].poll() for name in WORKERS] == [None, None]


def test_a_result_that_comes_late_from_a_cut_off_host_changes_nothing(hosts: Hosts) -> None:
    task_id = hosts.submit("late")
    first, second = cut_off_the_host_that_runs(hosts, "late")
    hosts.say_go("late", second)
    assert hosts.ended(task_id)["result"] == {"host": second}

    hosts.say_go("late", first)
    wait_until(lambda: hosts.noted("late", "ended") == [second, first], what="the end on the host cut off")
    hosts.hosts[first].plug_in()

    assert_both_go_on(hosts, "after-late")
    assert hosts.result(task_id)["result"] == {"host": second}
    assert hosts.ends_written(task_id) == ["SUCCESS"]
    assert hosts.noted("late", "started") == [first, second]


def test_a_host_that_comes_back_does_not_end_the_run_that_replaced_its_own(hosts: Hosts) -> None:
    task_id = hosts.submit("early")
    first, second = cut_off_the_host_that_runs(hosts, "early")
    hosts.say_go("early", first)
    wait_until(lambda: hosts.noted("early", "ended") == [first], what="the end on the host cut off")

    hosts.hosts[first].plug_in()

    # Its one process takes another job only when it is done with the one that it ran while it was cut off.
    hosts.say_go("other", first)
    assert hosts.ended(hosts.submit("other"))["result"] == {"host": first}
    still_open = not hosts.result(task_id)["ready"]
    hosts.say_go("early", second)
    assert hosts.ended(task_id)["result"] == {"host": second}
    assert still_open
    assert hosts.ends_written(task_id) == ["SUCCESS"]
    assert_both_go_on(hosts, "after-early")


def test_an_api_cut_off_from_redis_says_so_at_once_and_goes_on_when_joined_again(hosts: Hosts) -> None:
    hosts.say_go("before", *WORKERS)
    task_id = hosts.submit("before")
    hosts.ended(task_id)
    hosts.hosts["api"].unplug()

    for _ in range(3):
        began = time.monotonic()
        assert hosts.request("GET", f"/results/{task_id}").status_code == 503
        assert hosts.request("POST", "/tasks/hosts.run/jobs", json={"label": "refused"}).status_code == 503
        assert time.monotonic() - began < 2

    hosts.hosts["api"].plug_in()
    wait_until(lambda: hosts.request("GET", f"/results/{task_id}").status_code == 200, what="the API")
    hosts.say_go("refused", *WORKERS)  # what was sent when the cable was out may arrive after all
    assert_both_go_on(hosts, "after-api")
