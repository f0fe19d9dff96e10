"""Prices: what is taken, at which value, and why the rest is not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.maintenance.services.onboarding.errors import RowError
from app.jobs.maintenance.services.onboarding.price import parse_price


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        ("0", "0"),
        ("399", "399"),
        ("1234.5", "1234.5"),
        ("1,234.50", "1234.50"),
        ("1,234,567", "1234567"),
        ("12,345,678.9", "12345678.9"),
        ("$399.00", "399"),
        ("$ 1,234.50", "1234.5"),
        ("€5", "5"),
        ("£5.25", "5.25"),
        ("¥ 12", "12"),
        ("￥12", "12"),
        (" 7.50 ", "7.5"),
        ("$.50", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        ("0007.10000000", "7.1"),
        ("99999999999999.9999", "99999999999999.9999"),
        (399, "399"),
        (19.990000000000002, "19.99"),
        (10 / 3, "3.3333"),
        (-0.0, "0"),
    ],
)
def test_a_price_is_read(cell: object, price: str) -> None:
    found = parse_price(cell)
    assert found == Decimal(price)
    assert found is not None
    assert not found.is_signed()


@pytest.mark.parametrize("cell", [None, "", "  "])
def test_a_blank_price_is_none(cell: object) -> None:
    assert parse_price(cell) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("free", "is not a number"),
        ("$", "is not a number"),
        (".", "is not a number"),
        ("NaN", "is not a number"),
        ("inf", "is not a number"),
        ("1e5", "is not a number"),
        ("0x10", "is not a number"),
        ("1_000", "is not a number"),
        ("٣", "is not a number"),
        ("5 USD", "is not a number"),
        ("9" * 100_000, "is not a number"),
        ("1.234,50", "decimal comma"),
        ("399,00", "decimal comma"),
        ("€ 0,99", "decimal comma"),
        ("12,34,567.00", "misplaced commas"),
        ("1,234", "two ways"),
        ("$1,234", "two ways"),
        ("-5", "negative"),
        ("-$5.00", "negative"),
        ("$-5.00", "negative"),
        ("1.00001", "too many digits"),
        ("100000000000000", "too many digits"),
        (-0.5, "negative"),
        (1e14, "too many digits"),
        (10**400, "too many digits"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (True, "format the cell"),
    ],
)
def test_what_is_no_price_is_refused_with_a_reason(cell: object, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse_price(cell)


@given(
    st.decimals(min_value=0, max_value=Decimal("99999999999999.9999"), places=4),
    st.sampled_from(["", "$", "€ "]),
)
def test_a_written_price_keeps_its_value(price: Decimal, symbol: str) -> None:
    assert parse_price(f"{symbol}{price:f}") == price


@given(st.decimals(min_value=1000, max_value=Decimal("99999999999999.99"), places=2))
def test_thousands_may_be_grouped(price: Decimal) -> None:
    assert parse_price(f"{price:,f}") == price
