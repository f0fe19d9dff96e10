"""``state_label`` in the client's language, and what caches are told of it."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.installation import API, Installation, assert_problem


@pytest.fixture
def task_id(installation: Installation) -> str:
    task_id = installation.accept("ann")
    assert installation.backend.store_state(task_id, 3, "SUCCESS")
    return task_id


@pytest.fixture
def get(installation: Installation, ann: dict[str, str]) -> Any:
    """``get("results/…", "zh-CN")``: an answer in a language."""

    def get(path: str, language: str | None = None, **headers: str) -> TestResponse:
        wanted = {"Accept-Language": language} if language else {}
        return installation.client.get(f"{API}/{path}", headers=ann | wanted | headers)

    return get


@pytest.mark.parametrize(
    ("wanted", "language", "label"),
    [(None, "en", "Done"), ("zh-CN,en;q=0.5", "zh", "已完成"), ("zh-TW", "zh", "已完成"), ("fr", "en", "Done")],
)
def test_a_result_says_its_state_in_the_clients_language(
    get: Any, task_id: str, wanted: str | None, language: str, label: str
) -> None:
    for path in (f"results/{task_id}", "results/latest/maintenance.adds"):
        answer = get(path, wanted)
        assert (answer.json["state"], answer.json["state_label"]) == ("SUCCESS", label)
        assert answer.headers["Content-Language"] == language
        assert answer.vary.to_header() == "Accept-Language"


@pytest.mark.parametrize("path", ["results?task_id={}", "jobs"])
def test_so_do_lists(get: Any, task_id: str, path: str) -> None:
    answer = get(path.format(task_id), "zh")

    jobs = answer.json.get("results") or answer.json["jobs"]
    assert jobs[0]["state_label"] == "已完成"
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == ("zh", "Accept-Language")


def test_so_does_what_cancels(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")

    answer = installation.client.delete(f"{API}/jobs/{task_id}", headers={**ann, "Accept-Language": "zh"})

    assert (answer.status_code, answer.json["state_label"], answer.headers["Content-Language"]) == (
        202,
        "已取消",
        "zh",
    )


def test_each_language_has_an_etag_of_its_own(get: Any, task_id: str) -> None:
    english, chinese = get(f"results/{task_id}", "en"), get(f"results/{task_id}", "zh")
    assert english.headers["ETag"] != chinese.headers["ETag"]
    assert get(f"results/{task_id}", "zh-TW").headers["ETag"] == chinese.headers["ETag"]

    same = get(f"results/{task_id}", "zh", **{"If-None-Match": chinese.headers["ETag"]})
    assert (same.status_code, same.headers["Vary"]) == (304, "Accept-Language")
    assert get(f"results/{task_id}", "zh", **{"If-None-Match": english.headers["ETag"]}).status_code == 200


def test_what_is_in_no_language_says_of_none(
    installation: Installation, get: Any, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("tasks", "results?task_id=unknown"):
        answer = get(path, "zh")
        assert answer.status_code == 200
        assert ("Content-Language" in answer.headers, "Vary" in answer.headers) == (False, False)

    # An error after something was translated is in English all the same.
    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("app.api_1_0.results.poll_response", fail)
    monkeypatch.setitem(installation.app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = get(f"results/{task_id}", "zh")
    assert_problem(answer, 500)
    assert "Content-Language" not in answer.headers
