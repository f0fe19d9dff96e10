"""Working with the console in a real Chromium: by keyboard, over a line that breaks, with all it can do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import json as flask_json
from marshmallow import Schema, ValidationError, fields, validate
from playwright.sync_api import Page, Route, expect

from app.json_schema import options_schema
from tests.conftest import wait_until
from tests.console.furnished import API, Console, Furnished

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ADDS = "maintenance.adds"
REFRESH = "maintenance.refresh_onboard_table"


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, what: str, *, most: int = 60) -> None:
    """Until the element in focus has this text, name or id."""
    for _ in range(most):
        focused = page.evaluate(
            "[document.activeElement.textContent.trim(), document.activeElement.id,"
            " document.activeElement.getAttribute('aria-label')]"
        )
        if what in focused:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "it is not seen"
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not come to {what}")


def test_signing_in_submitting_and_reading_the_result_by_keyboard_alone(
    new_console: Callable[..., Console], place: Furnished
) -> None:
    page = new_console().page
    page.goto(f"{place.url}/")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type("tg_wrong")
    press(page, "Enter")
    expect(page.get_by_role("alert")).to_have_text("This API key is unknown, revoked or over.")
    expect(page.locator("#key")).to_be_focused()
    press(page, "Control+a")
    page.keyboard.type(place.key)
    press(page, "Enter")
    expect(page.locator("h1")).to_have_text("Tasks")
    press(page, "Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    press(page, "Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(20):
        press(page, "Tab")
        if "adds" in page.evaluate("document.activeElement.textContent"):
            break
    press(page, "Enter")
    expect(page.locator("h1")).to_be_focused()
    tab_to(page, "p-a")
    page.keyboard.type("20")
    tab_to(page, "p-b")
    page.keyboard.type("two")
    tab_to(page, "Submit")
    press(page, "Enter")
    expect(page.locator("#p-b")).to_be_focused()
    expect(page.locator("#p-b-error")).to_have_text("This is not a number.")
    expect(page.locator("#p-b")).to_have_attribute("aria-describedby", "p-b-error")
    press(page, "Control+a")
    page.keyboard.type("22")
    press(page, "Enter")
    expect(page.locator("pre.json")).to_have_text("42", timeout=60_000)
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator("main [role=status].unseen").first).to_have_text("Done", timeout=10_000)
    tab_to(page, "Run again")
    press(page, "Enter")
    expect(page.get_by_text("Runs again", exact=True)).to_be_visible(timeout=30_000)


def test_no_script_can_read_what_is_signed_in_with(console: Console, place: Furnished) -> None:
    page = console.page
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    cookies = page.context.cookies()

    assert place.key not in kept
    assert json.loads(kept)[2] == ""
    (cookie,) = cookies
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert place.key.rpartition("_")[2] not in cookie["value"]
    assert place.key not in place.server.log


def test_signing_out(console: Console, place: Furnished) -> None:
    page = console.page
    (cookie,) = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    page.locator("#key").wait_for()
    assert page.context.cookies() == []
    page.context.add_cookies([{**cookie, "expires": -1}])
    page.reload()
    expect(page.locator("#key")).to_be_visible()


def test_a_session_that_is_over_says_so_and_leads_back(console: Console, place: Furnished) -> None:
    page = console.page
    console.open("#/jobs")
    page.locator(".row.job").first.wait_for()
    page.context.clear_cookies()
    expect(page.get_by_text("Your session is over.")).to_be_visible(timeout=30_000)
    page.locator("#key").fill(place.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Jobs")


def test_a_submission_made_offline_is_sent_once(console: Console, place: Furnished) -> None:
    page = console.page
    console.open(f"#/tasks/{ADDS}")
    before = place.count(ADDS)
    page.context.set_offline(True)
    page.locator("#p-a").fill("1")
    page.locator("#p-b").fill("4321")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".banner.waiting")).to_contain_text("1 submission is kept here")
    expect(page.locator(".banner").first).to_contain_text("No connection")
    console.keep("desktop-offline")
    assert console.violations() == []
    kept = page.evaluate("localStorage.getItem('taskgate.outbox')")
    assert place.key not in kept
    assert json.loads(kept)[0]["params"] == {"a": 1, "b": 4321}
    # Another page of the same browser has it too, and sends it too: under the same key.
    other = page.context.new_page()

    page.context.set_offline(False)
    other.goto(f"{place.url}/")

    expect(page.get_by_text(f"{ADDS} was sent.")).to_be_visible(timeout=30_000)
    expect(page.locator(".banner")).to_have_count(0)
    assert place.count(ADDS) == before + 1
    assert json.loads(page.evaluate("localStorage.getItem('taskgate.outbox')")) == []


def test_a_lost_reply_makes_no_second_job(console: Console, place: Furnished) -> None:
    page = console.page
    console.open(f"#/tasks/{ADDS}")
    before = place.count(ADDS)
    keys: list[str | None] = []

    def lose_the_first_reply(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) > 1:
            route.continue_()
            return
        assert route.fetch().status == 202
        route.abort("connectionreset")

    page.route(f"**{API}/tasks/{ADDS}/jobs", lose_the_first_reply)
    page.locator("#p-a").fill("5")
    page.locator("#p-b").fill("6")
    page.get_by_role("button", name="Submit").click()

    expect(page.get_by_text(f"{ADDS} was sent.")).to_be_visible(timeout=30_000)
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert place.count(ADDS) == before + 1


def test_what_is_refused_after_a_wait_waits_for_a_person(console: Console, place: Furnished) -> None:
    page = console.page
    console.open(f"#/tasks/{ADDS}")
    page.context.set_offline(True)
    page.locator("#p-a").fill("1")
    page.locator("#p-b").fill("2")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".banner.waiting")).to_be_visible()
    # By a version of the task that does not take these params any more.
    page.route(f"**{API}/tasks/{ADDS}/jobs", lambda route: refuse(route, {"b": ["Unknown field."]}))

    page.context.set_offline(False)

    expect(page.locator(".banner.refused")).to_contain_text("not valid", timeout=30_000)
    page.get_by_role("button", name="Drop it").click()
    expect(page.locator(".banner")).to_have_count(0)


def test_a_job_is_followed_over_the_death_of_the_service(console: Console, place: Furnished) -> None:
    page, runs = console.page, place.runs
    job = runs.publish("take_steps", 4, by="ann")
    console.open(f"#/jobs/{job.id}")
    bar, lines = page.get_by_role("progressbar"), page.locator(".log .line")
    runs.say_go(job.id)
    expect(lines).to_have_count(1, timeout=60_000)
    expect(bar).to_have_attribute("aria-valuenow", "25")
    expect(page.locator("main .state").first).to_have_text("Running")
    console.keep("desktop-job-live")
    assert console.violations() == []

    place.server.kill()
    expect(page.locator(".banner")).to_contain_text("No connection", timeout=60_000)
    console.keep("desktop-connection-lost")
    runs.say_go(job.id)  # while nobody can tell
    place.server = runs.installation.start_api(place.server.port)

    expect(page.locator(".banner")).to_have_count(0, timeout=60_000)
    expect(lines).to_have_count(2, timeout=60_000)
    for step in (3, 4):
        runs.say_go(job.id)
        expect(lines).to_have_count(step, timeout=60_000)
    expect(page.locator("pre.json")).to_have_text('"arrived"', timeout=60_000)
    expect(page.locator("main .state").first).to_have_text("Done")
    assert [line.split("step ")[1] for line in lines.all_inner_texts()] == ["1", "2", "3", "4"]


def test_cancelling_and_running_again(console: Console, place: Furnished) -> None:
    page = console.page
    job = place.api.post(f"/tasks/{ADDS}/jobs", params={"delay": 3600}, json={"a": 3, "b": 4}).json()["task_id"]
    console.open(f"#/jobs/{job}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel this job?")
    assert console.violations() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("main .state").first).to_have_text("Cancelled", timeout=30_000)
    assert place.api.get(f"/results/{job}").json()["state"] == "REVOKED"
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("pre.json")).to_have_text("7", timeout=60_000)


def test_a_file_is_uploaded_and_what_came_of_it_downloaded(console: Console, place: Furnished) -> None:
    page = console.page
    console.open(f"#/tasks/{REFRESH}")
    page.locator("#p-file_id").set_input_files(
        {"name": "page.html", "mimeType": "text/html", "buffer": b"<!doctype html><title>x</title>"}
    )
    expect(page.locator(".drop .error")).to_contain_text("text/csv", timeout=30_000)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#p-file_id-error")).to_have_text("This is needed.")
    rows = b"code,name,price\nB-1,Bolt,0.20\nB-2,Washer,much\n"
    page.locator("#p-file_id").set_input_files({"name": "parts.csv", "mimeType": "text/csv", "buffer": rows})
    expect(page.locator(".chosen")).to_contain_text("parts.csv")
    page.get_by_role("button", name="Another one").wait_for(timeout=30_000)
    assert console.violations() == []
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("main .state").first).to_have_text("Done", timeout=60_000)
    with page.expect_download() as started:
        page.locator(".row.file").first.click()
    assert "B-2" in started.value.path().read_text()


def test_dead_letters_are_run_again_one_or_many(console: Console, place: Furnished) -> None:
    page = console.page
    console.open("#/dead")
    letters = page.locator(".row.letter")
    expect(letters).to_have_count(4, timeout=30_000)
    page.get_by_role("button", name=f"Run {place.jobs['failed 3']} again").click()
    expect(page.get_by_text("1 job runs again.")).to_be_visible(timeout=30_000)
    retried = place.api.get(f"/results/{place.jobs['failed 3']}").json()["retried_as"]
    place.ended(retried)
    page.get_by_label(f"Choose {place.jobs['failed 0']}").check()
    page.get_by_label(f"Choose {place.jobs['failed 1']}").check()
    page.get_by_role("button", name="Run 2 again").click()
    expect(page.get_by_text("2 jobs run again.")).to_be_visible(timeout=30_000)
    for name in ("failed 0", "failed 1"):  # bob's and carl's: each owner has one at a time
        place.ended(place.api.get(f"/results/{place.jobs[name]}").json()["retried_as"])
    page.get_by_label(f"Choose {place.jobs['failed 2']}").check()
    page.get_by_role("button", name="Put aside").click()
    page.get_by_role("dialog").get_by_role("button", name="Put aside").click()
    expect(page.get_by_text("1 job was put aside.")).to_be_visible(timeout=30_000)
    left = {letter["task_id"] for letter in place.api.get("/dead-letters").json()["dead_letters"]}
    assert not left & {job for name, job in place.jobs.items() if name.startswith("failed")}


def test_schedules_are_paused_and_run_now(console: Console, place: Furnished) -> None:
    page = console.page
    console.open("#/schedules")
    card = page.locator(".schedule", has_text="Match the catalogue")
    expect(card.locator("ol li")).to_have_count(5)
    card.get_by_role("button", name="Pause").click()
    expect(card.locator(".state")).to_have_text("Paused")
    expect(card).to_contain_text("Not before it goes on.")
    schedules = place.api.get("/schedules").json()["schedules"]
    assert [one["enabled"] for one in schedules if one["name"] == "Match the catalogue"] == [False]
    card.get_by_role("button", name="Go on").click()
    expect(card.locator(".state")).to_have_text("On")
    card.get_by_role("button", name="Run now").click()
    page.get_by_role("link", name="maintenance.match_self_table was submitted.").click()
    expect(page.locator("h1")).to_have_text("maintenance.match_self_table")


def test_a_batch_is_cancelled(console: Console, place: Furnished) -> None:
    page = console.page
    console.open(f"#/batches/{place.jobs['batch']}")
    page.get_by_role("button", name=re.compile("^Waiting")).click()
    expect(page.locator(".row.job")).to_have_count(3)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel them").click()
    expect(page.locator("main .state").first).to_have_text("Over", timeout=30_000)


def refuse(route: Route, errors: dict[str, Any]) -> None:
    problem = {"status": 422, "detail": "The request is not valid; see errors.", "errors": errors}
    route.fulfill(status=422, content_type="application/problem+json", body=flask_json.dumps(problem))


class Size(Schema):
    width = fields.Integer(required=True, validate=validate.Range(1, 99))
    unit = fields.String(validate=validate.OneOf(["mm", "inch"]), load_default="mm")


class OrderParams(Schema):
    """One field of each kind that a form knows."""

    code = fields.String(required=True, validate=[validate.Length(2, 8), validate.Regexp("^[A-Z]+$")])
    amount = fields.Integer(required=True, validate=validate.Range(1, 9), metadata={"description": "How many."})
    ratio = fields.Float(allow_none=True, load_default=None, validate=validate.Range(0, 1))
    colour = fields.String(required=True, validate=validate.OneOf(["red", "green"]))
    express = fields.Boolean(load_default=True)
    at = fields.AwareDateTime(allow_none=True, load_default=None)
    size = fields.Nested(Size, required=True)
    parts = fields.List(fields.Nested(Size), validate=validate.Length(1, 2))
    tags = fields.List(fields.String(validate=validate.Length(1, 5)))
    extra = fields.Dict(keys=fields.String())


@pytest.fixture
def orders(console: Console, place: Furnished) -> Iterator[list[dict[str, Any]]]:
    """What the service is sent for a task with those params, which it checks as it does every task's."""
    task = place.api.get(f"/tasks/{ADDS}").json()
    required = [name for name, field in OrderParams().fields.items() if field.required]
    params = {"type": "object", "properties": options_schema(OrderParams), "required": required}
    taken: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(json={**task, "name": "demo.order", "params": params})
            return
        try:
            taken.append(OrderParams().load(route.request.post_data_json))
            messages = {"size": {"width": ["Too wide for us."]}, "tags": {"0": ["Not this one."]}, "_schema": ["No."]}
        except ValidationError as error:
            messages = error.normalized_messages()
        refuse(route, messages)

    console.page.route(f"**{API}/tasks/demo.order**", answer)
    console.page.route(f"**{API}/tasks/demo.order/jobs**", answer)
    yield taken
    console.page.unroute_all(behavior="wait")


def test_a_form_of_every_kind_of_field(console: Console, orders: list[dict[str, Any]]) -> None:
    page = console.page
    console.open("#/tasks/demo.order")
    page.get_by_role("button", name="Submit").click()
    for field in ("p-code", "p-amount", "p-colour", "p-size-width"):
        expect(page.locator(f"#{field}-error")).to_have_text("This is needed.")
    expect(page.locator("#p-amount-help")).to_have_text("How many. · 1 – 9")
    page.locator("#p-code").fill("abc")
    page.locator("#p-amount").fill("10")
    page.get_by_label("colour", exact=True).select_option("green")
    page.locator("#p-size-width").fill("3.5")
    page.get_by_label("express").uncheck()
    page.locator("#p-at").fill("2027-01-02T03:04")
    page.get_by_role("button", name="Add an entry to parts").click()
    page.get_by_role("button", name="Add an entry to tags").click()
    page.locator("#p-parts-0-width").fill("7")
    page.locator("#p-tags-0").fill("new")
    page.locator("#p-extra").fill("{x")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#p-code-error")).to_have_text("This is not of the form that is wanted.")
    expect(page.locator("#p-amount-error")).to_have_text("9 at the most.")
    expect(page.locator("#p-size-width-error")).to_have_text("Give a whole number.")
    expect(page.locator("#p-extra-error")).to_have_text("This is not JSON.")
    assert orders == []
    assert console.violations() == []
    page.locator("#p-code").fill("ABC")
    page.locator("#p-amount").fill("9")
    page.locator("#p-size-width").fill("3")
    page.locator("#p-extra").fill('{"x": [1]}')
    page.get_by_role("button", name="Submit").click()
    # What the service says stands beside its field, and what is of no field above them all.
    expect(page.locator("#p-size-width-error")).to_have_text("Too wide for us.")
    expect(page.locator("#p-tags-0-error")).to_have_text("Not this one.")
    expect(page.locator("form [role=alert]")).to_contain_text("No.")
    expect(page.locator("#p-size-width")).to_be_focused()
    console.keep("desktop-form")
    assert console.violations() == []
    (order,) = orders
    assert order["at"].isoformat().startswith("2027-01-0")
    assert {name: value for name, value in order.items() if name != "at"} == {
        "code": "ABC",
        "amount": 9,
        "ratio": None,
        "colour": "green",
        "express": False,
        "size": {"width": 3, "unit": "mm"},
        "parts": [{"width": 7, "unit": "mm"}],
        "tags": ["new"],
        "extra": {"x": [1]},
    }


def test_the_place_is_there_when_the_service_was_not(new_console: Callable[..., Console], place: Furnished) -> None:
    """A page that is opened while Redis is away says so, and goes on by itself."""
    console = new_console()
    console.sign_in(place.key)
    place.runs.installation.redis.stop(kill=True)
    console.page.reload()
    expect(console.page.get_by_text("does not answer")).to_be_visible(timeout=60_000)
    place.runs.installation.redis.start()
    expect(console.page.locator("h1")).to_have_text("Tasks", timeout=60_000)
    wait_until(lambda: place.api.get("/tasks").status_code == 200, what="the service")
