"""Each view in a real Chromium: on a phone and on a desktop, light and dark, in English and in Chinese.

Each is drawn without an error, fits its window, and axe finds nothing in it. Its picture is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from app.api_keys import Scope
from tests.console.furnished import DESKTOP, PHONE, Console, Furnished

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

WAYS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": DESKTOP},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
    "phone-chinese-dark": {"viewport": PHONE, "color_scheme": "dark", "locale": "zh-CN"},
}

#: The address of each view, with what is to be seen there before it is looked at.
VIEWS = {
    "tasks": ("#/tasks", ".tile"),
    "task": ("#/tasks/maintenance.refresh_onboard_table", "form .drop"),
    "task-with-a-list": ("#/tasks/monitoring.aggregate_metrics", "form fieldset"),
    "jobs": ("#/jobs", ".row.job"),
    "job": ("#/jobs/{match}", "table tbody tr"),
    "job-with-plots": ("#/jobs/{metrics}", ".plot canvas"),
    "job-that-failed": ("#/jobs/{failed 0}", ".notice.bad"),
    "batches": ("#/batches", ".row.batch"),
    "batch": ("#/batches/{batch}", ".row.job"),
    "schedules": ("#/schedules", ".schedule ol"),
    "dead-letters": ("#/dead", ".row.letter"),
    "queues-and-workers": ("#/system", ".card:last-child tbody tr"),
    "nowhere": ("#/nothing", ".empty"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_view_is_sound(way: str, new_console: Callable[..., Console], place: Furnished) -> None:
    console = new_console(**WAYS[way])
    console.page.goto(f"{place.url}/")
    console.page.locator("#key").wait_for()
    console.keep(f"{way}-sign-in")
    found = {"sign-in": console.violations()}
    console.sign_in(place.key)

    for name, (address, sign) in VIEWS.items():
        console.open(address.format(**place.jobs))
        console.page.locator(sign).first.wait_for(timeout=30_000)
        console.keep(f"{way}-{name}")
        found[name] = console.violations()
        assert console.overflow() <= 0, name
        assert console.page.title().endswith("Taskgate")

    assert {name: what for name, what in found.items() if what} == {}
    assert console.said == []


def test_the_pages_policy_stops_what_is_foreign(console: Console) -> None:
    foreign = {
        "HTML of a string": "document.body.insertAdjacentHTML('beforeend', '<img src=x>')",
        "a script of a string": "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
    }
    for what, code in foreign.items():
        tried = f"() => {{ try {{ {code}; return 'done' }} catch (error) {{ return error.name }} }}"
        assert console.page.evaluate(tried) == "TypeError", what


def test_what_is_loaded_comes_from_here_and_is_not_loaded_twice(
    new_console: Callable[..., Console], place: Furnished
) -> None:
    console = new_console()
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    console.sign_in(place.key)
    console.open(f"#/jobs/{place.jobs['metrics']}")
    console.page.locator(".plot canvas").first.wait_for()
    first = len([url for url in asked if "/console/assets/" in url])
    console.page.reload()
    console.page.locator(".plot canvas").first.wait_for()

    assert first > 30
    assert all(url.startswith(place.url) for url in asked), asked
    sizes = console.page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.includes('/console/assets/'))"
        ".map(one => one.transferSize)"
    )
    assert set(sizes) == {0}, "they are asked for again"


def test_language_and_colours_are_chosen_and_kept(console: Console) -> None:
    page = console.page
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_label(re.compile("语言")).select_option("zh")
    expect(page.locator("h1")).to_have_text("任务")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_label("配色").select_option("dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(13, 16, 20)"

    page.reload()

    expect(page.locator("h1")).to_have_text("任务")
    assert page.evaluate(ground) == "rgb(13, 16, 20)"
    page.get_by_label("配色").select_option("light")
    assert page.evaluate(ground) == "rgb(246, 247, 249)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(246, 247, 249)", "what was chosen is stronger than the system"


def test_a_key_that_may_only_read_is_offered_nothing_else(
    new_console: Callable[..., Console], place: Furnished
) -> None:
    console = new_console()
    headers = place.runs.installation.headers("ann", Scope.READ)
    console.sign_in(headers["Authorization"].removeprefix("Bearer "))
    page = console.page

    console.open("#/tasks/maintenance.adds")
    expect(page.get_by_role("button", name="Submit")).to_be_disabled()
    expect(page.get_by_role("link", name="Queues")).to_have_count(0)
    console.open(f"#/jobs/{place.jobs['failed 2']}")
    page.locator(".notice.bad").wait_for()
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)
    console.open("#/dead")
    page.locator(".row.letter").first.wait_for()
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)


def test_filters_and_pages_of_the_job_list(console: Console, place: Furnished) -> None:
    for number in range(20):
        place.submit("maintenance.adds", {"a": number, "b": 1})
    page = console.page
    console.open("#/jobs")
    page.locator(".row.job").nth(24).wait_for()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("Page 2")).to_be_visible()
    page.get_by_role("button", name="Newer").click()
    page.get_by_label("State").select_option("FAILURE")
    expect(page.locator(".row.job")).to_have_count(2)
    page.get_by_label("Task").select_option("maintenance.match_self_table")
    expect(page.get_by_text("No jobs here.")).to_be_visible()
    page.get_by_label("State").select_option("")
    expect(page.locator(".row.job")).to_have_count(1)
    page.locator(".row.job").click()
    expect(page.locator("h1")).to_have_text("maintenance.match_self_table")
    page.go_back()
    expect(page.get_by_label("Task")).to_have_value("maintenance.match_self_table")


def test_queues_and_workers_are_told(console: Console, place: Furnished) -> None:
    console.open("#/system")
    row = console.page.locator("table.queues tr", has_text="for_task_collect")
    expect(row).to_contain_text("none", timeout=30_000)
    tile = console.page.locator(".figure", has_text="Ended a minute")
    for number in range(5):
        place.submit("maintenance.adds", {"a": number, "b": 7})
    expect(tile.locator("b")).to_have_text(re.compile("^[1-9][0-9,]*$"), timeout=40_000)
    assert place.api.get("/queues").json()["ended"]["SUCCESS"] > 0
    assert place.api.get("/workers").json()["workers"][0]["pool"] == "threads"
