"""Routes that are remembered by the shapes of their paths are those that werkzeug finds."""

from __future__ import annotations

from http import HTTPStatus
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Rule

from app.known_routes import RememberingAdapter
from tests.installation import API

#: Fixed: they stand in names of tests, which all processes of a run have to agree on.
ID, OTHER = "5f0c1e52-7d4b-4f0e-9a57-2f6d3c1b8e90", "d3b07384-d113-4ec6-a5c6-1d9a7c0e4b21"

PATHS = [
    "/",
    "/healthz",
    "/docs/swagger-ui.css",
    f"/docs/{{}}/{ID}",
    "/docs/{}",
    f"{API}/tasks/maintenance.adds/jobs",
    f"{API}/tasks/{{}}/jobs",
    f"{API}/results/{{}}",
    f"{API}/results//{{}}",
    f"{API}/results/{{}}/",
    f"{API}/results/latest/{{}}",
    f"{API}/results/{{}}/events",
    f"{API}/results/{{}}/files/{{}}",
    f"{API}/results/{{}}/files/{ID}",
    f"{API}/results/\0",
    f"{API}/jobs/{{}}/cancel",
    f"{API}/jobs/x{{}}",
    f"{API}/nothing/{{}}",
    f"{API}/dead-letters/retry",
]


def matched(app: Flask, path: str, method: str, *, remembering: bool) -> tuple[Rule, dict[str, object]] | type:
    with app.test_request_context(path, method=method) as context:
        adapter = context.url_adapter
        assert isinstance(adapter, RememberingAdapter)
        if not remembering:
            adapter.known = {}
        try:
            rule, values = adapter.match(return_rule=True)
        except (NotFound, MethodNotAllowed) as error:
            return type(error)
        return rule, dict(values)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "OPTIONS"])
def test_what_is_remembered_is_what_is_found(app: Flask, method: str) -> None:
    for given in (ID, OTHER, ID.upper(), "latest", "plain", ID):
        for path in PATHS:
            asked = path.replace("{}", given)
            found = matched(app, asked, method, remembering=False)
            for _ in range(2):
                assert matched(app, asked, method, remembering=True) == found, asked


@pytest.mark.parametrize(("method", "path"), [("POST", f"{API}/tasks/adds/jobs"), ("GET", f"{API}/results/{ID}")])
def test_values_are_each_requests_own(method: str, path: str, app: Flask) -> None:
    for _ in range(3):
        with app.test_request_context(path, method=method) as context:
            assert context.request.view_args
            context.request.view_args.clear()


def test_ids_share_what_is_remembered_and_other_paths_are_not_many(app: Flask) -> None:
    with app.test_request_context(f"{API}/results/{ID}") as context:
        assert isinstance(context.url_adapter, RememberingAdapter)
        known = context.url_adapter.known
    before = len(known)
    for _ in range(50):
        matched(app, f"{API}/results/{uuid4()}", "GET", remembering=True)
    assert len(known) == before

    for number in range(2_100):
        matched(app, f"{API}/results/job-{number}", "GET", remembering=True)
        assert len(known) <= 1_000
    matched(app, f"{API}/results/{'x' * 300}", "GET", remembering=True)
    assert not any(len(part) > 200 for shape in known for part in shape)


def test_an_unknown_path_is_not_found_again_and_again(app: Flask) -> None:
    client = app.test_client()
    for _ in range(2):
        assert client.get(f"/nothing/{ID}").status_code == HTTPStatus.NOT_FOUND
