"""The whole of the matching, step by step."""

from collections.abc import Callable, Iterator, Sequence
from math import log
from typing import TypeVar

import numpy as np

from app.jobs.maintenance.services.collector import cycles_uncollected
from app.jobs.maintenance.services.cores import MOST_PIECES, shared, usable_processes

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
_ROWS_A_STEP, _PAIRS_A_STEP = 2_500, 25_000
# A smaller table is matched before another process could have begun.
_ALONE = 5_000
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
    processes: int | None = None,
) -> list[Match]:
    """The pairs of rows that look like the same part, best first, then by code.

    The answer does not depend on the order of `parts`, whose codes must be unique. Rows of identical text
    match one another unless their prices contradict; of more than `LARGEST_FULL_GROUP` such rows only the
    first code is paired, with each of the others. Rows without name and description match nothing.

    `processes`: how many share the work, forks of this one; None for as many as there are cores, where the
    table is large and a fork is safe. The answer does not depend on it.

    Raises:
        ValueError: `threshold` is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
    if processes is None:
        processes = usable_processes() if len(parts) > _ALONE else 1
    least = 2 * log(threshold / (1 - threshold))
    with cycles_uncollected():
        return _find(parts, least, on_progress, processes)


def _find(parts: Sequence[PartText], least: float, on_progress: OnProgress, processes: int) -> list[Match]:
    groups = group_identical(parts)

    def read(start: int, end: int) -> list[Tokens]:
        return [tokenise(group[0]) for group in groups[start:end]]

    def reading(start: int) -> None:
        on_progress(_READ * start // len(groups), _TOTAL, f"reading row {start + 1} of {len(groups)}")

    rows = _in_steps(read, len(groups), _ROWS_A_STEP, reading, processes)
    table = profile_table(rows, [group[0].price for group in groups])
    on_progress(_READ, _TOTAL, f"{len(groups)} different texts")
    candidates = candidate_pairs(table, processes) if len(groups) > 1 else []
    on_progress(_BLOCKED, _TOTAL, f"{len(candidates)} pairs to compare")
    compared = _compare(candidates, table, min(least, _HOPELESS), on_progress, processes)
    resolved = resolve(dict(compared), least)
    matches = [*_identical_matches(groups, least), *_similar_matches(groups, resolved)]
    on_progress(_TOTAL, _TOTAL, f"{len(matches)} matches")
    return sorted(matches, key=lambda match: (-match.score, match.code_a, match.code_b))


def _compare(
    candidates: list[Pair], table: Table, lowest: float, on_progress: OnProgress, processes: int
) -> list[tuple[Pair, Evidence]]:
    """The pairs that come to `lowest`, with the evidence on them."""
    profiles = table.profiles
    # Where no fork is safe, rapidfuzz's threads still are.
    screen = Screen(table, threads=-1 if processes == 1 else 1)

    def compare(start: int, end: int) -> list[tuple[Pair, Evidence]]:
        pairs = np.array(candidates[start:end])
        chosen, likeness = screen.promising(pairs[:, 0], pairs[:, 1], lowest)
        likely = zip(pairs[chosen].tolist(), likeness.tolist(), strict=True)
        weighed = (
            ((left, right), weigh(profiles[left], profiles[right], table, alike)) for (left, right), alike in likely
        )
        return [(pair, evidence) for pair, evidence in weighed if evidence.log_odds >= lowest]

    def comparing(start: int) -> None:
        done = _BLOCKED + (_COMPARED - _BLOCKED) * start // len(candidates)
        on_progress(done, _TOTAL, f"comparing pair {start + 1} of {len(candidates)}")

    return _in_steps(compare, len(candidates), _PAIRS_A_STEP, comparing, processes)


_Done = TypeVar("_Done")


def _in_steps(
    work: Callable[[int, int], list[_Done]], count: int, step: int, on_step: Callable[[int], None], processes: int
) -> list[_Done]:
    """What `work` answers for the things from one number to below another, for all of them, in order."""
    step = max(step, -(-count // MOST_PIECES))

    def piece(number: int) -> list[_Done]:
        return work(number * step, min(count, (number + 1) * step))

    steps = shared(piece, -(-count // step), processes=processes, on_piece=lambda number: on_step(number * step))
    return [done for some in steps for done in some]


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
