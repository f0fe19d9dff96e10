"""A visitor's way: a form, a job, a page that asks again until there is a result, and nobody else who sees it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from examples.django_site.tests.running_site import RunningSite, Visitor, received, running_site, task_id_of
from tests.conftest import wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site"), settings={"COUNT_VISITORS_EVERY": "2"}) as site:
        yield site


@pytest.fixture
def visitor(site: RunningSite) -> Iterator[Visitor]:
    with site.visitor() as visitor:
        yield visitor


def test_none_of_taskgates_code_is_there(site: RunningSite) -> None:
    code = "import importlib.util as u; print([u.find_spec(name) for name in ('app', 'config', 'libs')])"

    assert site.run("-c", code).split() == ["[None,", "None,", "None]"]


def test_a_sum_is_added_by_taskgates_worker(site: RunningSite, visitor: Visitor) -> None:
    address = visitor.submitted("/", a="40", b="2")

    assert visitor.result(address) == "42"
    assert ("maintenance.adds", task_id_of(address)) in received(site.taskgate_worker.log)


def test_a_shout_is_shouted_by_the_sites_worker_and_escaped(site: RunningSite, visitor: Visitor) -> None:
    address = visitor.submitted("/shout/", text="<b>hello</b> & more")

    assert visitor.result(address) == "<B>HELLO</B> & MORE!"
    assert html.escape("<B>HELLO</B> & MORE!") in visitor.http.get(address).text
    assert ("site.shout", task_id_of(address)) in received(site.worker_log)


def test_a_page_asks_again_until_there_is_a_result(site: RunningSite, visitor: Visitor) -> None:
    with site.taskgate_paused():
        address = visitor.submitted("/", a="1", b="2")
        waiting = visitor.http.get(address)
    assert visitor.result(address) == "3"
    ended = visitor.http.get(address)

    assert re.search(r'id="state">PENDING<', waiting.text)
    assert ['http-equiv="refresh"' in page.text for page in (waiting, ended)] == [True, False]
    assert "no-store" in waiting.headers["Cache-Control"]


def test_a_job_that_did_not_succeed_says_so_and_no_more(site: RunningSite, visitor: Visitor) -> None:
    """The form lets nothing pass that makes this job fail, so the failure is written in its place."""
    backend = site.taskgate.app.extensions["celery"].backend
    with site.taskgate_paused():
        address = visitor.submitted("/", a="1", b="2")
        backend.mark_as_failure(task_id_of(address), ValueError("a secret of the worker"))
        page = visitor.http.get(address).text

    assert 'id="state">FAILURE<' in page
    assert "did not succeed" in page
    assert "secret" not in page
    assert 'http-equiv="refresh"' not in page


def test_another_visitor_does_not_see_the_job(site: RunningSite, visitor: Visitor) -> None:
    address = visitor.submitted("/", a="1", b="2")
    assert visitor.result(address) == "3"

    with site.visitor() as other:
        assert other.http.get(address).status_code == 404
        other.submitted("/", a="5", b="6")
        assert other.http.get(address).status_code == 404
    assert visitor.http.get(f"/jobs/{uuid4()}/").status_code == 404


def test_what_is_no_number_is_not_submitted(site: RunningSite, visitor: Visitor) -> None:
    for wrong in ("two", "", "1.5", str(2**53)):
        answer = visitor.submit("/", a="1", b=wrong)

        assert (answer.status_code, answer.history) == (200, [])
        assert 'class="errorlist"' in answer.text


def test_a_form_from_elsewhere_is_refused(site: RunningSite, visitor: Visitor) -> None:
    visitor.http.get("/")

    assert visitor.http.post("/", data={"a": "1", "b": "2"}).status_code == 403


def test_debug_is_off_and_other_hosts_are_refused(site: RunningSite) -> None:
    unknown = httpx.get(f"{site.url}/nowhere")

    assert (unknown.status_code, "DEBUG" in unknown.text) == (404, False)
    assert httpx.get(site.url, headers={"Host": "evil.example"}).status_code == 400


def test_the_sites_own_beat_submits_its_own_task(site: RunningSite, visitor: Visitor) -> None:
    visitor.submitted("/", a="1", b="2")

    wait_until(lambda: re.search(r"[1-9]\d* visitors", site.worker_log), what="the count of visitors")
    assert "site.count_visitors" not in site.taskgate_worker.log
