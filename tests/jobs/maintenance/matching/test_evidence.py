"""Each kind of evidence by itself, against the same pair without it."""

import pytest

from app.jobs.maintenance.services.matching.evidence import Evidence, price_log_odds, score_of, weigh
from app.jobs.maintenance.services.matching.profiles import profile_table
from app.jobs.maintenance.services.matching.records import PartText
from app.jobs.maintenance.services.matching.tokens import tokenise

FILLER = [f"{kind} {i}" for i in range(20) for kind in ("red valve", "blue hose", "steel ring", "brass pin")]


def evidence(one: str, other: str, makers: tuple[str, str] = ("", "")) -> Evidence:
    parts = [PartText("A", one, "", makers[0], None), PartText("B", other, "", makers[1], None)]
    parts += [PartText(f"Z{i}", name, "", "", None) for i, name in enumerate(FILLER)]
    table = profile_table([tokenise(part) for part in parts], [part.price for part in parts])
    return weigh(table.profiles[0], table.profiles[1], table, 0.0)


@pytest.mark.parametrize(
    ("one", "other", "doubt"),
    [
        ("12 v", "24 v", "other voltage"),
        ("pink", "grey", "other colour"),
        ("907", "909", "other numbers"),
    ],
)
def test_a_contradiction_costs_more_than_other_words(one: str, other: str, doubt: str) -> None:
    found, neutral = (
        evidence(f"lever pump {one}", f"lever pump {other}"),
        evidence("lever pump slim", "lever pump tall"),
    )

    assert found.contradicted
    assert not neutral.contradicted
    assert found.reason.endswith(f"but {doubt}")
    assert found.log_odds < neutral.log_odds


@pytest.mark.parametrize(
    ("one", "other", "doubt"),
    [
        ("LP7731", "LP7751", "similar but other model number"),
        ("LP7731A", "LP7731C", "other variant"),
        ("LP7731", "QX2208", "other model number"),
    ],
)
def test_another_model_number_costs_more_than_none(one: str, other: str, doubt: str) -> None:
    found = evidence(f"lever pump {one}", f"lever pump {other}")

    assert found.contradicted
    assert found.reason.endswith(f"but {doubt}")
    assert found.log_odds < evidence(f"lever pump {one}", "lever pump").log_odds


@pytest.mark.parametrize(("one", "other"), [("LP7731BK", "LP7731BLK"), ("LP7731W", "LP7731WH"), ("SC1AB", "SC1AB1")])
def test_an_abbreviated_or_longer_suffix_is_no_contradiction(one: str, other: str) -> None:
    assert not evidence(f"lever pump {one}", f"lever pump {other}").contradicted


def test_a_number_that_goes_on_is_another_number() -> None:
    assert evidence("lever pump LP7731", "lever pump LP77315").contradicted


def test_another_manufacturer_costs_and_the_same_in_other_letters_does_not() -> None:
    same = evidence("lever pump", "lever pump", ("Elmark", "ELMARK"))
    other = evidence("lever pump", "lever pump", ("Elmark", "Novaplex"))

    assert not same.contradicted
    assert other.contradicted
    assert other.log_odds < same.log_odds


def test_prices() -> None:
    assert price_log_odds(None, 3.0) == price_log_odds(0.0, 3.0) == price_log_odds(float("nan"), 3.0) == 0
    assert price_log_odds(10, 11) > 0 > price_log_odds(10, 30) > price_log_odds(10, 60)
    assert price_log_odds(10, 1e9) == price_log_odds(10, 1e12)


def test_even_log_odds_are_the_middle_of_the_scale() -> None:
    assert score_of(0) == 0.5
    assert 0 < score_of(-20) < score_of(1) < score_of(8) < 1
