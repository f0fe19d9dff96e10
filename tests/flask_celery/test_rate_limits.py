"""Rates, whom they hold for, and what a declaration may say of them."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import Schema

from libs.flask_celery import FlaskCelery, describe, job, job_spec
from libs.flask_celery.rate_limits import Pace, shared_pace


@pytest.mark.parametrize(
    ("rate", "interval"),
    [
        ("10/s", 100_000),
        (10, 100_000),
        ("10", 100_000),
        ("10/m", 6_000_000),
        ("1/h", 3_600_000_000),
        ("0.5/s", 2_000_000),
    ],
)
def test_a_rate_is_read_as_celery_reads_it(rate: Any, interval: int) -> None:
    pace = Pace.of_rate(rate)

    assert pace is not None
    assert pace.interval == interval
    assert pace.tolerance == 10_000


def test_a_high_rate_has_a_tenth_of_a_second_to_catch_up() -> None:
    assert Pace.of_rate("1000/s") == Pace(1_000, 99_000)


@pytest.mark.parametrize("rate", [None, 0, "0", "0/m"])
def test_no_rate_is_no_limit(rate: Any) -> None:
    assert Pace.of_rate(rate) is None


@pytest.mark.parametrize("rate", ["10/d", "ten", "-1/s", "10 / s", "", "1e3", "10/s ", True, -5, float("nan")])
def test_a_bad_rate_is_an_error_at_declaration(rate: Any) -> None:
    with pytest.raises(ValueError, match="rate_limit wants a rate such as"):
        job("orders.place", params=Schema, rate_limit=rate)


def test_a_bad_scope_is_an_error_at_declaration() -> None:
    with pytest.raises(ValueError, match="scope wants one of worker, global, not 'all'"):
        job("orders.place", params=Schema, rate_limit="1/s", scope="all")
    for rate in (None, 0):
        with pytest.raises(ValueError, match="scope='global' wants a rate_limit"):
            job("orders.place", params=Schema, rate_limit=rate, scope="global")


def test_a_declaration_says_whom_its_rate_holds_for(own_tasks: None, celery_app: FlaskCelery) -> None:
    def place() -> None:
        """Place an order."""

    job("orders.all", params=Schema, rate_limit="10/m", scope="global")(place)
    job("orders.each", params=Schema, rate_limit="10/m")(place)
    job("orders.free", params=Schema)(place)
    celery_app.finalize()

    limits = {
        name: describe(celery_app, job_spec(celery_app, f"orders.{name}")).limits for name in ("all", "each", "free")
    }

    assert {name: (known.rate_limit, known.rate_limit_scope) for name, known in limits.items()} == {
        "all": ("10/m", "global"),
        "each": ("10/m", "worker"),
        "free": (None, None),
    }
    assert shared_pace(celery_app.tasks["orders.all"]) == Pace(6_000_000, 10_000)
    assert shared_pace(celery_app.tasks["orders.each"]) is None
