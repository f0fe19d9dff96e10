"""The contract of `find_matches` as its callers rely on it."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.maintenance.services.matching import Match, PartText, find_matches


def part(code: str, name: str, *, maker: str = "", price: float | None = None, detail: str = "") -> PartText:
    return PartText(code=code, name=name, description=detail, manufacturer=maker, price=price)


def filler(count: int = 60) -> list[PartText]:
    """Unrelated rows: rarity is measured in the table, so a table of two rows knows none."""
    kinds = ["Gear motor", "Relay socket", "Ball valve", "Hose clamp", "Fuse holder", "Cable gland"]
    return [part(f"Z{i:03d}", f"{kinds[i % 6]} {chr(65 + i % 26)}Q-{i * 37 + 1201}") for i in range(count)]


def pairs(matches: list[Match]) -> set[tuple[str, str]]:
    return {(match.code_a, match.code_b) for match in matches if not match.code_a.startswith("Z")}


def test_a_model_number_written_with_and_without_hyphen_is_one() -> None:
    rows = [
        part("B", "Sonarex Turntable PS-LX350H"),
        part("A", "Turntable belt drive - PSLX350H", maker="Sonarex"),
    ]

    matches = find_matches([*rows, *filler()])

    assert (matches[0].code_a, matches[0].code_b) == ("A", "B")
    assert matches[0].score > 0.8
    assert "PSLX350H" in matches[0].reason


def test_a_model_number_split_by_a_space_is_found_where_another_row_writes_it_as_one() -> None:
    rows = [part("A", "Camcorder XH A1S"), part("B", "Video camera high definition XHA1S")]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


def test_a_colour_code_at_the_end_does_not_hide_the_model() -> None:
    rows = [part("A", "Lumaro camera DSCW120/B"), part("B", "Lumaro camera DSCW120")]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Flat panel display LN52A550", "Flat panel display LN52A750"),
        ("Flat panel display 32 inch wall mount", "Flat panel display 40 inch wall mount"),
        ("Hex bolt M8x40 zinc plated", "Hex bolt M8x45 zinc plated"),
        ("Hex bolt DIN 933 zinc plated", "Hex bolt DIN 912 zinc plated"),
        ("Camera bag leather black", "Camera bag leather white"),
    ],
)
def test_near_misses_of_one_family_do_not_match(one: str, other: str) -> None:
    family = [
        part(f"Z9{i}", f"{one.rsplit(' ', 2)[0]} {kind}") for i, kind in enumerate(["spare", "kit", "set", "box"])
    ]

    assert pairs(find_matches([part("A", one), part("B", other), *family, *filler()])) == set()


def test_a_better_partner_takes_the_place_of_a_weaker_one() -> None:
    rows = [
        part("A", "Portable player silver DVPFX820S"),
        part("B", "Portable player DVP-FX820/S silver"),
        part("C", "Portable player pink DVPFX820P"),
    ]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


def test_three_spellings_of_one_part_are_three_pairs() -> None:
    rows = [
        part("A", "Pump CP-3205"),
        part("B", "Pump centrifugal CP3205"),
        part("C", "Centrifugal pump CP 3205 new"),
    ]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B"), ("A", "C"), ("B", "C")}


def test_a_misspelt_word_of_a_long_name_is_forgiven() -> None:
    name = "Stainless steel countersunk machine screw assortment"
    rows = [part("A", name), part("B", name.replace("countersunk", "countresunk"))]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


def test_another_manufacturer_and_a_far_price_count_against() -> None:
    def score(maker: str, price: float) -> float:
        rows = [part("A", "Contactor KM-4417", maker="Elmark", price=20.0)]
        rows.append(part("B", "Contactor KM4417", maker=maker, price=price))
        return find_matches([*rows, *filler()])[0].score

    assert score("ELMARK", 21.0) > score("Novaplex", 21.0)
    assert score("ELMARK", 21.0) > score("ELMARK", 200.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [("不锈钢六角螺栓 M8x40", "不锈钢 六角螺栓 M8×40"), ("深沟球轴承 6204-2RS", "球轴承深沟 62042RS")],
)
def test_chinese_names_match(one: str, other: str) -> None:
    rows = [part("A", one), part("B", other), part("C", "橡胶密封圈 黑色")]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


def test_full_width_letters_are_the_same_letters() -> None:
    assert pairs(find_matches([part("A", "泵 ＣＰ－３２０５"), part("B", "泵 CP-3205"), *filler()])) == {("A", "B")}


def test_rows_without_any_text_match_nothing() -> None:
    rows = [part(code, "", maker="Elmark", price=3.0) for code in "ABC"]

    assert find_matches([*rows, part("D", " \t")]) == []


def test_a_row_without_a_name_is_known_by_its_description() -> None:
    rows = [part("A", "", detail="Hydraulic filter insert fibre"), part("B", "Hydraulic filter insert fibre")]

    assert pairs(find_matches([*rows, *filler()])) == {("A", "B")}


def test_few_identical_rows_give_every_pair() -> None:
    matches = find_matches([part(code, "Washer  8 mm" if code == "A" else "washer 8 mm") for code in "ABCD"])

    assert len(pairs(matches)) == 6
    assert {match.reason for match in matches} == {"identical text"}


def test_identical_rows_whose_prices_lie_far_apart_score_less() -> None:
    same, far = (
        find_matches([part("A", "Washer", price=1.0), part("B", "Washer", price=price)])[0].score
        for price in (1.0, 9.0)
    )

    assert same > far


def test_thousands_of_identical_rows_give_one_pair_each() -> None:
    rows = [part(f"P{i:05d}", "Washer 8 mm") for i in range(5_000)]

    matches = find_matches(rows)

    assert len(matches) == 4_999
    assert {match.code_a for match in matches} == {"P00000"}


def test_thousands_of_rows_that_share_all_but_a_serial_number_stay_bounded() -> None:
    rows = [part(f"P{i:05d}", f"Washer zinc plated steel {i}") for i in range(3_000)]
    rows += [part("A", "Pump CP-3205 cast iron"), part("B", "Pump CP3205 cast iron")]

    matches = find_matches(rows)

    assert ("A", "B") in pairs(matches)
    assert len(matches) < 12 * len(rows)


@pytest.mark.parametrize("count", [0, 1])
def test_a_table_too_small_to_match(count: int) -> None:
    assert find_matches([part("A", "Pump")][:count]) == []


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [
        part(f"P{i:03d}", f"Pump CP-{i // 2 + 100}{'/' if i % 2 else '-'}B {'blue' if i % 3 else 'red'}")
        for i in range(80)
    ]
    expected = find_matches(rows)

    for seed in range(3):
        Random(seed).shuffle(rows)
        assert find_matches(rows) == expected


def test_matches_come_best_first_and_the_threshold_cuts_the_end() -> None:
    rows = [*filler(), part("A", "Pump CP-3205 cast iron"), part("B", "Pump CP3205 cast iron"),
            part("C", "Relay socket brown 8 pin"), part("D", "Relay socket 8 pin brown din")]  # fmt: skip
    loose, strict = find_matches(rows, threshold=0.2), find_matches(rows, threshold=0.8)

    assert [match.score for match in loose] == sorted((match.score for match in loose), reverse=True)
    assert pairs(strict) == {("A", "B")}
    assert len(loose) > len(strict)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_a_threshold_outside_the_scale_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        find_matches([], threshold=threshold)


def test_progress_rises_to_its_total() -> None:
    told: list[tuple[int, int | None, str]] = []

    find_matches(filler(), on_progress=lambda current, total, message: told.append((current, total, message)))

    currents = [current for current, _, _ in told]
    assert currents == sorted(currents)
    assert told[-1][:2] == (100, 100)
    assert all(message for _, _, message in told)


texts = st.text(alphabet="ab1 -/.,'\"x5螺é\u0301Ω½", max_size=20)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, texts, texts, st.none() | st.floats()), max_size=12))
def test_any_text_is_survived(rows: list[tuple[str, str, str, float | None]]) -> None:
    parts = [PartText(f"P{i:02d}", *row) for i, row in enumerate(rows)]

    matches = find_matches(parts, threshold=0.1)

    assert matches == find_matches(parts[::-1], threshold=0.1)
    assert all(0.1 <= round(match.score, 3) <= 1 and match.code_a < match.code_b for match in matches)
    assert len(pairs(matches)) == len(matches)
