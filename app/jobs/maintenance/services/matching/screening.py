"""The most that two rows can score, for many pairs at once: most pairs need no closer look."""

from math import inf

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz, process

from . import evidence
from .measures import conflicting
from .members import Flags, Ints, Kinds, Members
from .profiles import COMPOUND, Profile, Table

Floats = npt.NDArray[np.float64]

# Sums are taken in another order here than in `weigh`, so their last digits may differ.
_ROUNDING = 1e-6
# Names with half of their letters in common are not alike at all, and not even the same name outdoes its words.
_UNLIKE, _ALIKE = 50.0, 0.95


class Screen:
    """A table as arrays, whose names are compared by so many threads; -1 for as many as there are cores."""

    def __init__(self, table: Table, threads: int = -1) -> None:
        self._threads = threads
        self._profiles = profiles = table.profiles
        words = {word: number for number, word in enumerate(table.weight)}
        self._weight = np.array(list(table.weight.values()))
        self._known = np.array([evidence.is_known(word, table) for word in words], dtype=bool)
        self._words = Members.of((profile.words for profile in profiles), words)
        self._text = Members.of((profile.text for profile in profiles), words)
        self._numeric = np.zeros(len(words), dtype=bool)
        self._numeric[[words[word] for profile in profiles for word in profile.numbers]] = True
        self._norm = np.array([profile.norm for profile in profiles])
        forms = {form: number for number, form in enumerate(table.strength)}
        self._strength = np.array(list(table.strength.values()))
        self._forms = Members.of((profile.forms for profile in profiles), forms)
        self._trust = np.array([trust for profile in profiles for trust in profile.forms.values()])
        self._central = np.array(
            [evidence.centrality(form, row, table.strength[form]) for row in profiles for form in row.forms]
        )
        self._own = np.array([form in row.own for row in profiles for form in row.forms], dtype=bool)
        self._colours = _as_bits(profiles)
        prices = [row.price if row.price and 0 < row.price < inf else np.nan for row in profiles]
        self._price = np.log2(np.array(prices, dtype=float))
        self._measures = Kinds(
            (profile.measures for profile in profiles), lambda one, other: bool(conflicting(one, other))
        )
        self._makers = Kinds((profile.maker for profile in profiles), evidence.other_makers)

    def promising(self, left: Ints, right: Ints, lowest: float) -> tuple[Ints, Floats]:
        """The indices of the pairs that may come to `lowest`, all that do among them, and how alike their names are.

        The likeness is 0 where `weigh` would not look at it.
        """
        # From what costs least to what costs most: words, then identifiers, then the letters of names.
        plain, variant, name, spelt = self._bounds(left, right)
        best = np.maximum(plain, variant)
        letters = np.where(spelt, 0.0, evidence.NAME * np.maximum(0.0, _ALIKE - name))
        kept = np.flatnonzero(best + letters >= lowest)
        unsure = (plain + letters)[kept] < lowest
        unsure[unsure] = ~self._variants(left[kept[unsure]], right[kept[unsure]])
        kept = kept[~unsure]
        likeness = np.zeros(len(kept))
        asked = ~spelt[kept]
        likeness[asked] = self._likeness(left[kept[asked]], right[kept[asked]])
        may = best[kept] + evidence.NAME * np.maximum(0.0, likeness - name[kept]) * asked >= lowest
        return kept[may], likeness[may]

    def _variants(self, left: Ints, right: Ints) -> Flags:
        rows = self._profiles
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        return np.array([evidence.name_variants(rows[one], rows[other]) for one, other in pairs], dtype=bool)

    def _likeness(self, left: Ints, right: Ints) -> Floats:
        ratios = process.cpdist(
            [self._profiles[row].name for row in left.tolist()],
            [self._profiles[row].name for row in right.tolist()],
            scorer=fuzz.token_sort_ratio,
            score_cutoff=_UNLIKE,
            workers=self._threads,
        )
        return np.maximum(0.0, ratios.astype(float) / _UNLIKE - 1) * _ALIKE

    def _bounds(self, left: Ints, right: Ints) -> tuple[Floats, Floats, Floats, Flags]:
        """The most that `weigh` can give when names are alike in nothing but words: without, and with identifiers
        that are variants of one another; how far the words agree; whether that is all `weigh` looks at in names.
        """
        strongest, shared, ours, theirs = self._identifiers(left, right)
        name, other_numbers, spelt = self._names(left, right)
        bound = evidence.PRIOR + _ROUNDING + evidence.NAME * name
        bound += evidence.MEASURE * self._measures.differ(left, right)
        bound += evidence.MAKER * self._makers.differ(left, right)
        bound += evidence.OTHER_NUMBER * other_numbers * (1 - strongest)
        one, other = self._colours[left], self._colours[right]
        bound += evidence.COLOUR * ((one != 0) & (other != 0) & (one & other == 0))
        bound += self._prices(left, right)
        differ = (ours > 0) & (theirs > 0)
        against = np.where(differ & (strongest <= np.minimum(ours, theirs) / 2), evidence.OTHER_IDENTIFIER, 0.0)
        plain = bound + evidence.IDENTIFIER * shared + against * (1 - strongest)
        variant = bound + evidence.IDENTIFIER * np.maximum(shared, evidence.CONTAINED)
        return plain, np.where(differ, variant, -inf), name, spelt

    def _identifiers(self, left: Ints, right: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """The strongest shared form, and all together; the strongest of each row's own that the other lacks."""
        doubt, strongest = np.zeros(len(left)), np.zeros(len(left))
        place, pair = self._forms.each(left)
        form = self._forms.member[place]
        there = self._forms.find(right[pair], form)
        ours = self._lacking(place, pair, there, len(left))
        both = there >= 0
        place, pair, form, there = place[both], pair[both], form[both], there[both]
        found = self._trust[place] * self._trust[there] * self._strength[form]
        found *= np.maximum(self._central[place], self._central[there])
        found[np.maximum(self._trust[place], self._trust[there]) < COMPOUND] *= evidence.PIECES
        np.maximum.at(strongest, pair, found)
        np.add.at(doubt, pair, np.log1p(-np.minimum(found, evidence.SUREST)))
        place, pair = self._forms.each(right)
        theirs = self._lacking(place, pair, self._forms.find(left[pair], self._forms.member[place]), len(left))
        return strongest, -np.expm1(doubt), ours, theirs

    def _lacking(self, place: Ints, pair: Ints, there: Ints, pairs: int) -> Floats:
        lacking = self._own[place] & (there < 0)
        strongest = np.zeros(pairs)
        np.maximum.at(strongest, pair[lacking], self._strength[self._forms.member[place[lacking]]])
        return strongest

    def _names(self, left: Ints, right: Ints) -> tuple[Floats, Flags, Flags]:
        """How far the words agree; whether both have other numbers, and both other words that the table knows."""
        agreed, numbers, known = self._agreement(left, right)
        theirs, their_numbers, their_known = self._agreement(right, left)
        # Half for each name's word in the other's text: a word of both names counts in both halves.
        agreed = (agreed + theirs) / 2
        norm, other = self._norm[left], self._norm[right]
        some = (norm > 0) & (other > 0)
        norm, other = np.where(some, norm, 1.0), np.where(some, other, 1.0)
        cosine = np.minimum(1.0, agreed / (norm * other))
        contained = np.minimum(1.0, agreed / np.minimum(norm, other) ** 2)
        return (0.7 * cosine + 0.3 * contained) * some, numbers & their_numbers, known & their_known

    def _agreement(self, named: Ints, other: Ints) -> tuple[Floats, Flags, Flags]:
        """The weight of the name's words in the other's text; whether numbers, and known words, are not in it."""
        place, pair = self._words.each(named)
        word = self._words.member[place]
        there = self._text.find(other[pair], word) >= 0
        agreed = np.bincount(pair, self._weight[word] * there, len(named)).astype(float)
        numbers, known = np.zeros(len(named), dtype=bool), np.zeros(len(named), dtype=bool)
        numbers[pair[~there & self._numeric[word]]] = True
        known[pair[~there & self._known[word]]] = True
        return agreed, numbers, known

    def _prices(self, left: Ints, right: Ints) -> Floats:
        beyond = np.maximum(0.0, np.abs(self._price[left] - self._price[right]) - evidence.PRICE_FREE)
        said = np.maximum(evidence.PRICE_WORST, evidence.PRICE_ALIKE + evidence.PRICE_SLOPE * beyond)
        return np.where(np.isnan(said), 0.0, said)


def _as_bits(profiles: list[Profile]) -> Ints:
    bits: dict[str, int] = {}
    return np.array([sum(1 << bits.setdefault(word, len(bits)) for word in row.colours) for row in profiles])
