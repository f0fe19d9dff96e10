"""Rows whose text is the same, taken together before anything is compared."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from .records import PartText
from .tokens import fold

Group = list[PartText]

# A group up to this size answers each of its pairs; a larger one would answer millions.
LARGEST_FULL_GROUP = 10


def group_identical(parts: Sequence[PartText]) -> list[Group]:
    """Rows grouped by text without case and spacing, in order of code; rows without text are left out."""
    groups: dict[tuple[str, str, str], Group] = defaultdict(list)
    for part in sorted(parts, key=lambda part: (part.code, part.name, part.description, part.manufacturer)):
        name, description = fold(part.name), fold(part.description)
        if name or description:
            groups[name, description, fold(part.manufacturer)].append(part)
    return list(groups.values())


def pairs_within(group: Group) -> Iterator[tuple[PartText, PartText]]:
    """Every pair of a small group; of a large one, the first code with each of the others."""
    if len(group) <= LARGEST_FULL_GROUP:
        yield from combinations(group, 2)
    else:
        yield from ((group[0], other) for other in group[1:])


def pairs_between(left: Group, right: Group) -> Iterator[tuple[PartText, PartText]]:
    """Every pair across two small groups; a large group is represented by its first code."""
    for one in left if len(left) <= LARGEST_FULL_GROUP else left[:1]:
        for other in right if len(right) <= LARGEST_FULL_GROUP else right[:1]:
            yield one, other
