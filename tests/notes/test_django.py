"""A Django site with its own Celery beside ours, on one Redis: ``examples/django_site``, whose own tests say more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.django_site.tests.running_site import RunningSite, received, running_site, task_id_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("django")) as site:
        yield site


def test_each_worker_runs_its_own_and_the_site_shows_both(site: RunningSite) -> None:
    with site.visitor() as visitor:
        sums, shouts = [], []
        for number in range(10):
            sums.append(visitor.submitted("/", a=str(number), b="100"))
            shouts.append(visitor.submitted("/shout/", text=f"number {number}"))

        assert [visitor.result(address) for address in sums] == [str(number + 100) for number in range(10)]
        assert [visitor.result(address) for address in shouts] == [f"NUMBER {number}!" for number in range(10)]

    assert sorted(received(site.taskgate_worker.log)) == sorted(
        ("maintenance.adds", task_id_of(address)) for address in sums
    )
    assert sorted(received(site.worker_log)) == sorted(("site.shout", task_id_of(address)) for address in shouts)
