"""Whose address counts behind a proxy: what trusted ones wrote, and nothing that a client can write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from config import Config
from tests.conftest import built_app

PROXY = "10.0.0.1"


@contextmanager
def client_behind(config: Config, proxies: int) -> Iterator[FlaskClient]:
    with built_app(replace(config, trusted_proxies=proxies)) as app:
        show_what_is_seen(app)
        yield app.test_client()


def show_what_is_seen(app: Flask) -> None:
    app.add_url_rule("/seen", view_func=lambda: [request.remote_addr, request.scheme, request.host])


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "address"),
    [
        (0, "198.51.100.7", PROXY),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the client wrote the first one itself
        (2, "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", PROXY),  # asked by another way than through both
        (1, "", PROXY),
    ],
)
def test_the_address_is_what_the_trusted_proxies_saw(
    proxies: int, forwarded_for: str, address: str, config: Config
) -> None:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}

    with client_behind(config, proxies) as client:
        seen = client.get("/seen", headers=headers, environ_base={"REMOTE_ADDR": PROXY}).json

    assert seen[0] == address


@pytest.mark.parametrize(("proxies", "scheme"), [(0, "http"), (1, "https")])
def test_so_is_the_scheme_and_the_host_stays(proxies: int, scheme: str, config: Config) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}

    with client_behind(config, proxies) as client:
        seen = client.get("/seen", headers=headers).json

    assert seen[1:] == [scheme, "localhost"]
