"""Which pairs of rows are worth comparing: pairs that share rare keys, a bounded number for each row."""

from array import array
from collections.abc import Iterator
from itertools import combinations
from math import log

import numpy as np
import numpy.typing as npt

from app.jobs.maintenance.services.cores import MOST_PIECES, shared

from .profiles import Profile, Table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# A key in more rows than this tells too little to compare all of them with one another.
_WIDEST = 40
# In wider blocks, and in the table as a whole, a row meets only its next neighbours in the order of names.
_NEIGHBOURS = 3
# Bounds on memory and time: pairs looked at before they are ranked, and pairs kept, for each row of the
# table.
_PAIRS_PER_ROW = 80
_KEPT_PER_ROW = 12
_RAREST = 5
_LONGEST_LEFT_OUT = 9


def candidate_pairs(table: Table, processes: int = 1) -> list[tuple[int, int]]:
    """Pairs of positions in `table.profiles`, first below second, in ascending order.

    The number of pairs grows with the number of rows, not with its square: blocks are taken from the smallest
    up to a budget, and each row keeps its most promising partners. Wide blocks are covered by neighbourhood
    in name order.
    """
    profiles = table.profiles
    order = sorted(range(len(profiles)), key=lambda row: (profiles[row].name, row))
    rank = np.empty(len(profiles), dtype=np.int64)
    rank[order] = np.arange(len(profiles))
    keys, rows, bonus = _keys(table, processes)
    by_key = np.lexsort((rank[rows], keys))
    keys, rows, bonus = keys[by_key], rows[by_key], bonus[by_key]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    blocks = list(_pairs_of_blocks(rows, bonus, starts, sizes, len(profiles)))
    blocks.append((_neighbours(np.asarray(order), len(profiles)), 0.0))
    return _best(blocks, len(profiles))


def _keys(table: Table, processes: int) -> tuple[Ints, Ints, Floats]:
    """What pairs may share: keys, the row of each, and what it is worth."""
    # Tuples of integers hash alike in every process, unlike strings.
    numbers = {word: number for number, word in enumerate(sorted(table.weight.keys() | table.strength.keys()))}
    count = len(table.profiles)
    step = -(-count // MOST_PIECES)

    def piece(number: int) -> tuple[bytes, bytes, bytes]:
        first = number * step
        keys, rows, bonus = array("q"), array("q"), array("d")
        for row in range(first, min(count, first + step)):
            mine = _keys_of(table.profiles[row], table, numbers)
            keys.extend(mine)
            rows.extend([row] * len(mine))
            bonus.extend(mine.values())
        return keys.tobytes(), rows.tobytes(), bonus.tobytes()

    every = shared(piece, -(-count // step), processes=processes)
    keys, rows, bonus = (b"".join(some) for some in zip(*every, strict=True))
    return np.frombuffer(keys, np.int64), np.frombuffer(rows, np.int64), np.frombuffer(bonus, np.float64)


def _keys_of(profile: Profile, table: Table, numbers: dict[str, int]) -> dict[int, float]:
    words = sorted(profile.words, key=lambda word: (-table.weight[word], word))
    codes = [numbers[word] for word in words]
    mine = {hash((0, numbers[form])): 2.0 if form in profile.named else 1.0 for form in sorted(profile.forms)}
    mine |= {hash((1, code)): 1.0 for code in codes}
    mine |= {hash((2, *pair)): 1.0 for pair in combinations(sorted(codes[:_RAREST]), 2)}
    if len(codes) <= _LONGEST_LEFT_OUT:
        # All words but one: rows that differ in one word, all of them common, still meet.
        mine |= {hash((3, *sorted(codes[:i] + codes[i + 1 :]))): 1.0 for i in range(len(codes))}
        mine[hash((3, *sorted(codes)))] = 1.0
    return mine


def _pairs_of_blocks(
    rows: Ints, bonus: Floats, starts: Ints, sizes: Ints, total: int
) -> Iterator[tuple[Ints, float]]:
    budget = _PAIRS_PER_ROW * total
    for size in range(2, _WIDEST + 1):
        chosen = starts[sizes == size]
        first, second = np.triu_indices(size, 1)
        chosen = chosen[: budget // len(first)]
        budget -= len(chosen) * len(first)
        for value in np.unique(bonus[chosen]).tolist():
            members = rows[chosen[bonus[chosen] == value][:, None] + np.arange(size)]
            yield (
                _coded(members[:, first].ravel(), members[:, second].ravel(), total),
                value * log(total / size),
            )
    wide = sizes > _WIDEST
    for start, size in zip(starts[wide].tolist(), sizes[wide].tolist(), strict=True):
        yield _neighbours(rows[start : start + size], total), log(total / size)


def _coded(left: Ints, right: Ints, total: int) -> Ints:
    return np.minimum(left, right) * total + np.maximum(left, right)


def _neighbours(ordered: Ints, total: int) -> Ints:
    steps = range(1, min(_NEIGHBOURS + 1, len(ordered)))
    return np.concatenate([_coded(ordered[:-step], ordered[step:], total) for step in steps])


def _best(blocks: list[tuple[Ints, float]], total: int) -> list[tuple[int, int]]:
    pairs = np.concatenate([coded for coded, _ in blocks])
    weights = np.repeat([value for _, value in blocks], [len(coded) for coded, _ in blocks])
    blocks.clear()
    order = np.argsort(pairs, kind="stable")
    pairs, weights = pairs[order], weights[order]
    firsts = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]])
    pairs, weights = pairs[firsts], np.add.reduceat(weights, firsts)
    # A pair stays when it is among the best of either row.
    keep = np.zeros(len(pairs), dtype=bool)
    ends = np.concatenate([pairs // total, pairs % total])
    order = np.lexsort((-np.tile(weights, 2), ends))
    ends = ends[order]
    place = np.arange(len(ends)) - np.searchsorted(ends, ends)
    keep[order[place < _KEPT_PER_ROW] % len(pairs)] = True
    return list(zip((pairs[keep] // total).tolist(), (pairs[keep] % total).tolist(), strict=True))
