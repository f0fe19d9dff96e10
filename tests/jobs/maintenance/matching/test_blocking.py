"""Candidates: the pairs worth comparing are found, and their number stays bounded."""

from app.jobs.maintenance.services.matching.blocking import candidate_pairs
from app.jobs.maintenance.services.matching.profiles import Table, profile_table
from app.jobs.maintenance.services.matching.records import PartText
from app.jobs.maintenance.services.matching.tokens import tokenise


def table(*names: str) -> Table:
    return profile_table(
        [tokenise(PartText(str(i), name, "", "", None)) for i, name in enumerate(names)], [None] * len(names)
    )


def test_rows_that_share_a_rare_identifier_meet() -> None:
    others = [f"relay {chr(97 + i % 26)}{i + 400}" for i in range(300)]

    assert (0, 301) in candidate_pairs(table("turntable ps-lx350h", *others, "record player pslx350h"))


def test_rows_of_common_words_meet_when_one_word_is_missing() -> None:
    # Every word and every two words are too common to be a key.
    names = [f"{a}aa {b}bb {c}cc {d}dd" for a in "klmnopq" for b in "klmnopq" for c in "klmnopq" for d in "klmnopq"]

    assert (names.index("naa nbb ncc ndd"), len(names)) in candidate_pairs(table(*names, "nbb ncc ndd"))


def test_the_number_of_candidates_is_bounded_for_each_row() -> None:
    names = [f"washer a{i % 60:02d} b{i % 59:02d} c{i % 61:02d}" for i in range(2_000)]

    assert len(candidate_pairs(table(*names))) <= 12 * len(names)


def test_pairs_are_ordered_and_unique() -> None:
    pairs = candidate_pairs(table(*(f"pump {i % 9} cp{i % 40 + 100}" for i in range(200))))

    assert pairs == sorted(set(pairs))
    assert all(left < right for left, right in pairs)
