"""The whole of the matching, step by step."""

from collections.abc import Iterator, Sequence
from math import log

import numpy as np

from app.jobs.maintenance.services.collector import cycles_uncollected

from .blocking import candidate_pairs
from .evidence import Evidence, price_log_odds, score_of, weigh
from .identical import Group, group_identical, pairs_between, pairs_within
from .profiles import Table, profile_table
from .records import Match, OnProgress, PartText
from .resolution import Pair, resolve
from .screening import Screen
from .tokens import Tokens, tokenise

DEFAULT_THRESHOLD = 0.5
"""Even odds: with the evidence as weighed, the pair is as likely one part as two."""

# Progress is told in per cent, because the steps count different things.
_TOTAL, _READ, _BLOCKED, _COMPARED = 100, 25, 40, 95
_ROWS_A_STEP, _PAIRS_A_STEP = 5_000, 50_000
# Below this, a pair can neither match nor be a better partner for a row that does.
_HOPELESS = -2.0
_IDENTICAL_TEXT = 4.0


def ignore_progress(current: int, total: int | None, message: str) -> None:
    """The default for `on_progress`."""


def find_matches(
    parts: Sequence[PartText],
    *,
    on_progress: OnProgress = ignore_progress,
    threshold: float = DEFAULT_THRESHOLD,
) -> list[Match]:
    """The pairs of rows that look like the same part, best first, then by code.

    The answer does not depend on the order of `parts`, whose codes must be unique. Rows of identical text
    match one another unless their prices contradict; of more than `LARGEST_FULL_GROUP` such rows only the
    first code is paired, with each of the others. Rows without name and description match nothing.

    Raises:
        ValueError: `threshold` is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
    least = 2 * log(threshold / (1 - threshold))
    with cycles_uncollected():
        return _find(parts, least, on_progress)


def _find(parts: Sequence[PartText], least: float, on_progress: OnProgress) -> list[Match]:
    groups = group_identical(parts)
    table = profile_table(list(_read(groups, on_progress)), [group[0].price for group in groups])
    on_progress(_READ, _TOTAL, f"{len(groups)} different texts")
    candidates = candidate_pairs(table) if len(groups) > 1 else []
    on_progress(_BLOCKED, _TOTAL, f"{len(candidates)} pairs to compare")
    resolved = resolve(dict(_compare(candidates, table, min(least, _HOPELESS), on_progress)), least)
    matches = [*_identical_matches(groups, least), *_similar_matches(groups, resolved)]
    on_progress(_TOTAL, _TOTAL, f"{len(matches)} matches")
    return sorted(matches, key=lambda match: (-match.score, match.code_a, match.code_b))


def _read(groups: Sequence[Group], on_progress: OnProgress) -> Iterator[Tokens]:
    for position, group in enumerate(groups):
        if position % _ROWS_A_STEP == 0:
            on_progress(_READ * position // len(groups), _TOTAL, f"reading row {position + 1} of {len(groups)}")
        yield tokenise(group[0])


def _compare(
    candidates: list[Pair], table: Table, lowest: float, on_progress: OnProgress
) -> Iterator[tuple[Pair, Evidence]]:
    """The pairs that come to `lowest`, with the evidence on them."""
    screen, profiles = Screen(table), table.profiles
    for start in range(0, len(candidates), _PAIRS_A_STEP):
        done = _BLOCKED + (_COMPARED - _BLOCKED) * start // len(candidates)
        on_progress(done, _TOTAL, f"comparing pair {start + 1} of {len(candidates)}")
        pairs = np.array(candidates[start : start + _PAIRS_A_STEP])
        chosen, likeness = screen.promising(pairs[:, 0], pairs[:, 1], lowest)
        for (left, right), similarity in zip(pairs[chosen].tolist(), likeness.tolist(), strict=True):
            evidence = weigh(profiles[left], profiles[right], table, similarity)
            if evidence.log_odds >= lowest:
                yield (left, right), evidence


def _identical_matches(groups: Sequence[Group], least: float) -> Iterator[Match]:
    for group in groups:
        for one, other in pairs_within(group):
            log_odds = _IDENTICAL_TEXT + price_log_odds(one.price, other.price)
            if log_odds >= least:
                yield _match(one, other, log_odds, "identical text")


def _similar_matches(groups: Sequence[Group], resolved: dict[Pair, Evidence]) -> Iterator[Match]:
    for (left, right), evidence in resolved.items():
        for one, other in pairs_between(groups[left], groups[right]):
            yield _match(one, other, evidence.log_odds, evidence.reason)


def _match(one: PartText, other: PartText, log_odds: float, reason: str) -> Match:
    code_a, code_b = sorted((one.code, other.code))
    return Match(code_a, code_b, round(score_of(log_odds), 4), reason)
