"""What Flower is started with under ``manage.py up --flower``; test_up.py starts it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from flask import Flask

from app.commands.stack import children
from config import Config

OURS = {"FLOWER_BASIC_AUTH": "taskgate:secret", "FLOWER_READ_ONLY": "true"}


def environment_of_flower(app: Flask, config: Config) -> Mapping[str, str]:
    [flower] = [one for one in children(app, config, None, "http://127.0.0.1:1", OURS) if one.name == "flower"]
    return flower.env


def test_the_operators_options_count(app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "ann:another")

    environment = environment_of_flower(app, config)

    assert environment["FLOWER_BASIC_AUTH"] == "ann:another"
    assert environment["FLOWER_READ_ONLY"] == "true"


def test_an_empty_password_is_none(app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower takes it for one, and lets everybody in who sends empty credentials."""
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "")

    assert environment_of_flower(app, config)["FLOWER_BASIC_AUTH"] == "taskgate:secret"
