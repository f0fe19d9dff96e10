"""Sets of things of many rows as arrays, to ask of many pairs of rows at once what they share."""

from array import array
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Members:
    """The members of each row's set, by number; `of` names them in the order in which each set gives them."""

    def __init__(self, sizes: Sequence[int], members: Ints, kinds: int) -> None:
        self.member = members
        self._kinds = kinds
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        # One number for a row and a member of it, in order, to look a member up in.
        keys = np.repeat(np.arange(len(sizes)), self._sizes) * kinds + members
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    @classmethod
    def of(cls, rows: Iterable[Iterable[str]], numbers: Mapping[str, int]) -> Self:
        """Each row's members, all of which have a number in 0 to below `len(numbers)`."""
        members, sizes = array("q"), array("q")
        for row in rows:
            before = len(members)
            members.extend(map(numbers.__getitem__, row))
            sizes.append(len(members) - before)
        return cls(sizes, np.array(members, dtype=np.int64), len(numbers))

    def each(self, rows: Ints) -> tuple[Ints, Ints]:
        """All places of the members of these rows, one row after another, and for each the index in `rows`."""
        sizes = self._sizes[rows]
        index = np.repeat(np.arange(len(rows)), sizes)
        first = self._starts[rows] - (np.cumsum(sizes) - sizes)
        return np.repeat(first, sizes) + np.arange(len(index)), index

    def find(self, rows: Ints, members: Ints) -> Ints:
        """The place of each of the members in its row, -1 where the row lacks it."""
        keys = rows * self._kinds + members
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)


class Kinds:
    """Rows by the kind they are of, and which two kinds differ, asked once for every two that meet."""

    def __init__(self, kinds: Iterable[Hashable], differ: Callable[[Any, Any], bool]) -> None:
        numbers: dict[Hashable, int] = {}
        self._kind = np.array([numbers.setdefault(kind, len(numbers)) for kind in kinds], dtype=np.int64)
        self._kinds = list(numbers)
        self._differ = differ

    def differ(self, left: Ints, right: Ints) -> Flags:
        """For each pair of rows, whether their kinds differ; an empty kind differs from none."""
        one, other = self._kind[left], self._kind[right]
        pairs, which = np.unique(one * len(self._kinds) + other, return_inverse=True)
        kinds = (
            (self._kinds[pair // len(self._kinds)], self._kinds[pair % len(self._kinds)]) for pair in pairs.tolist()
        )
        return np.array([bool(a and b) and self._differ(a, b) for a, b in kinds], dtype=bool)[which]
