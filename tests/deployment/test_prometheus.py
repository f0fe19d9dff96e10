"""The alert rules and the dashboard of deploy/: Prometheus's own judgement, and that they ask for what is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery import states
from flask import Flask, g
from flask.testing import FlaskClient
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from app.api_keys import Scope
from libs.flask_celery import FlaskCelery, submit
from tests.conftest import ROOT
from tests.installation import bearer
from tests.promtool import RULES, promtool

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from queries(panel.get("panels", []))


def test_the_rules_and_the_configuration_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_the_rules_do_what_they_are_for() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_each_alert_is_seen_to_come_and_to_stay_away() -> None:
    cases = [
        case
        for test in yaml.safe_load((RULES / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    alerts = {rule["alert"] for rule in rules()}

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


def test_each_alert_has_its_lines_for_who_is_woken() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page[page.index("\n## Alerts\n") :]

    assert re.findall(r"^\| `(Taskgate\w+)` \|", section, re.M) == [rule["alert"] for rule in rules()]


@pytest.mark.parametrize("place", ["alerts.yml", "dashboard.json", "operations.md"])
def test_every_metric_that_is_asked_for_is_one_that_is_told(
    place: str, app: Flask, client: FlaskClient, make_key: Callable[..., str]
) -> None:
    celery_app: FlaskCelery = app.extensions["celery"]
    with app.app_context():
        g.principal = "ann"
        task_id = submit(celery_app, "maintenance.adds", {"a": 1, "b": 2}).task_id
    celery_app.backend.store_state(task_id, 3, states.SUCCESS)
    page = client.get("/metrics", headers=bearer(make_key("prometheus", Scope.METRICS))).text
    told = {
        family.name + suffix for family in text_string_to_metric_families(page) for suffix in SUFFIXES[family.type]
    }

    asked = asked_for(place)

    assert len(asked) > 10
    assert asked - told == set()
    if place == "operations.md":
        assert {name for name in told if not name.endswith(("_sum", "_count"))} == asked


def test_the_dashboard_is_of_grafanas_own_types() -> None:
    """As Grafana publishes them, panels' options included: what a type does not have is lost on the way through.

    No Grafana draws it here.
    """
    register_default_plugins()
    board = json.loads(DASHBOARD.read_text())

    assert lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board)))) == []

    for panel in board["panels"]:
        panel["gridPosition"] = panel.pop("gridPos")
    board["panels"][-1]["fieldConfig"]["defaults"]["units"] = "s"
    found = lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board))))
    assert sorted(name.rpartition("/")[2] for name in found) == ["gridPosition"] * len(board["panels"]) + ["units"]


def lost(sent: Any, kept: Any, path: str = "") -> list[str]:
    """The members of ``sent`` that are not in ``kept`` as they were."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return [name for key, value in sent.items() for name in lost(value, kept.get(key), f"{path}/{key}")]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        return [name for n, pair in enumerate(zip(sent, kept, strict=True)) for name in lost(*pair, f"{path}/{n}")]
    return [] if sent == kept else [path]


def asked_for(place: str) -> set[str]:
    if place == "alerts.yml":
        return set(re.findall(r"\btaskgate_\w+", " ".join(rule["expr"] for rule in rules())))
    if place == "dashboard.json":
        board = json.loads(DASHBOARD.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        return set(re.findall(r"\btaskgate_\w+", " ".join(queries(board["panels"]))))
    section = Path(ROOT / "docs" / "operations.md").read_text().partition("| metric, after `taskgate_` | of |")[2]
    rows = re.findall(r"^\| (`[^|]*) \|", section.partition("\n\n")[0], re.M)
    names: set[str] = set()
    for row in rows:
        is_histogram = "histogram" in row
        for name in re.findall(r"`(\w+?)(?:\{[\w,]+\})?`", row):
            names.add(
                f"taskgate_{name}_bucket" if is_histogram and not name.endswith("_total") else f"taskgate_{name}"
            )
    return names
