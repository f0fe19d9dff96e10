"""Evidence for and against two rows being one part, added up as log-odds."""

from dataclasses import dataclass
from math import exp, inf, log2

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from .measures import conflicting
from .profiles import COMPOUND, Profile, Table
from .tokens import stem

# Weights in log-odds. Two rows taken at random are not one part; a rare identifier in both outweighs
# everything but a contradiction, and a name alone is enough only when nearly all of it agrees.
PRIOR, IDENTIFIER, NAME = -4.5, 8.0, 5.0
_SIBLING, _NEAR_MISS, OTHER_IDENTIFIER = -3.5, -3.0, -2.5
MEASURE, OTHER_NUMBER, COLOUR, MAKER, _MAKER_ABSENT = -2.0, -1.5, -1.5, -1.5, -0.7
PRICE_ALIKE, PRICE_SLOPE, PRICE_WORST = 0.5, -1.5, -2.0
# Prices within this many doublings (a quarter) are the same price at another source.
PRICE_FREE = 0.3
CONTAINED = 0.6
PIECES = 0.4
# However many identifiers agree, some doubt is left by each.
SUREST = 0.97
_NEAR = 0.6


@dataclass(frozen=True, slots=True)
class Evidence:
    """The outcome of one comparison; `contradicted` when anything spoke against, whatever the sum."""

    log_odds: float
    contradicted: bool
    reason: str


def score_of(log_odds: float) -> float:
    """Log-odds as a score in 0..1; 0 gives 0.5. Halved, so that strong matches still differ in the score."""
    return 1 / (1 + exp(-log_odds / 2))


def price_log_odds(left: float | None, right: float | None) -> float:
    """What two prices say: a little for when alike, more and more against when far apart.

    Nothing when either is unknown; a price that is not a positive number is taken for unknown.
    """
    if left is None or right is None or not (0 < left < inf and 0 < right < inf):
        return 0.0
    doublings = abs(log2(left) - log2(right))
    return max(PRICE_WORST, PRICE_ALIKE + PRICE_SLOPE * max(0.0, doublings - PRICE_FREE))


def weigh(left: Profile, right: Profile, table: Table, similarity: float) -> Evidence:
    """The evidence on two rows; `similarity` (0..1) is that of their names as strings, for misspelt words."""
    shared, best, strongest = _shared_identifier(left, right, table.strength)
    name = _name_agreement(left, right, table.weight)
    if similarity > name and _may_be_misspelt(left, right, table):
        name = similarity
    against, doubts, contained = _other_identifiers(left, right, table.strength, strongest)
    shared = max(shared, contained)
    log_odds = PRIOR + IDENTIFIER * shared + NAME * name + against
    clashes = conflicting(left.measures, right.measures)
    if clashes:
        log_odds += MEASURE
        doubts.append(f"other {clashes[0]}")
    if left.numbers - right.text and right.numbers - left.text:
        log_odds += OTHER_NUMBER * (1 - strongest)
        if strongest < 0.5:
            doubts.append("other numbers")
    if left.colours and right.colours and not left.colours & right.colours:
        log_odds += COLOUR
        doubts.append("other colour")
    maker = _maker(left, right)
    log_odds += maker
    if maker == MAKER:
        doubts.append("other manufacturer")
    price = price_log_odds(left.price, right.price)
    if price < -1:
        doubts.append("price far apart")
    grounds = [f"model number {best.upper()}"] if best and strongest >= 0.3 else []
    grounds.append(f"name {name:.2f}")
    if doubts:
        grounds.append("but " + ", ".join(doubts))
    return Evidence(log_odds + price, bool(doubts), "; ".join(grounds))


def _shared_identifier(left: Profile, right: Profile, strength: dict[str, float]) -> tuple[float, str, float]:
    doubt, best, strongest = 1.0, "", 0.0
    for form in sorted(left.forms.keys() & right.forms.keys()):
        force = strength[form]
        central = max(centrality(form, left, force), centrality(form, right, force))
        found = left.forms[form] * right.forms[form] * force * central
        if max(left.forms[form], right.forms[form]) < COMPOUND:
            # Only pieces of identifiers meet, as they do in each family of parts.
            found *= PIECES
        doubt *= 1 - min(found, SUREST)
        if found > strongest:
            best, strongest = form, found
    return 1 - doubt, best, strongest


def centrality(form: str, profile: Profile, force: float) -> float:
    """How far a form of this strength is what names the row, 0..1.

    An identifier in passing (`fits X100`) is weak beside the one that names the row.
    """
    if form not in profile.named:
        return 0.0
    return min(1.0, force / profile.own_strength) if profile.own_strength else 1.0


def _name_agreement(left: Profile, right: Profile, weight: dict[str, float]) -> float:
    if not left.norm or not right.norm:
        return 0.0
    both = left.words & right.words
    agreed = sum(weight[word] for word in both)
    # A word that the other row has in its description only is half an agreement.
    agreed += sum(weight[word] for word in (left.words & right.text | right.words & left.text) - both) / 2
    cosine = min(1.0, agreed / (left.norm * right.norm))
    contained = min(1.0, agreed / min(left.norm, right.norm) ** 2)
    return 0.7 * cosine + 0.3 * contained


def _may_be_misspelt(left: Profile, right: Profile, table: Table) -> bool:
    # `olflex` and `liycy` share letters, but where both are words of the table neither is a slip for the
    # other.
    return not (_has_known(left.words - right.text, table) and _has_known(right.words - left.text, table))


def _has_known(words: frozenset[str], table: Table) -> bool:
    return any(is_known(word, table) for word in words)


def is_known(word: str, table: Table) -> bool:
    """Whether a word is none that somebody may have misspelt: the table has it often, or it is no word."""
    return not word.isalpha() or table.weight[word] <= table.known_weight


def _other_identifiers(
    left: Profile, right: Profile, strength: dict[str, float], strongest: float
) -> tuple[float, list[str], float]:
    ours = [identifier for identifier in left.own if identifier not in right.forms]
    theirs = [identifier for identifier in right.own if identifier not in left.forms]
    if not ours or not theirs:
        return 0.0, [], 0.0
    force = min(max(strength[identifier] for identifier in ours), max(strength[identifier] for identifier in theirs))
    if strongest > force / 2 and not _siblings(ours, theirs):
        return 0.0, [], 0.0
    if _variants(ours, theirs):
        return 0.0, [], CONTAINED
    if _siblings(ours, theirs):
        return _SIBLING, ["other variant"], 0.0
    pairs = [(one, other) for one in ours for other in theirs]
    if max(Levenshtein.normalized_similarity(one, other) for one, other in pairs) >= _NEAR:
        return _NEAR_MISS, ["similar but other model number"], 0.0
    return OTHER_IDENTIFIER * (1 - strongest), ["other model number"], 0.0


def name_variants(left: Profile, right: Profile) -> bool:
    """Whether one identifier that only `left` has and one that only `right` has are longer and shorter spellings."""
    ours = [identifier for identifier in left.own if identifier not in right.forms]
    return bool(ours) and _variants(ours, [identifier for identifier in right.own if identifier not in left.forms])


def _variants(ours: list[str], theirs: list[str]) -> bool:
    return any(_contains(one, other) or _same_suffix(one, other) for one in ours for other in theirs)


def _siblings(ours: list[str], theirs: list[str]) -> bool:
    return bool({stem(identifier) for identifier in ours} & {stem(identifier) for identifier in theirs})


def _same_suffix(one: str, other: str) -> bool:
    # `dscw120w` and `dscw120wh`, `-bk` and `-blk`: one closing run of letters abbreviates the other.
    base = stem(one)
    if base != stem(other):
        return False
    short, long = sorted((one[len(base) :], other[len(base) :]), key=len)
    letters = iter(long)
    return short[:1] == long[:1] and all(letter in letters for letter in short)


def _contains(one: str, other: str) -> bool:
    # `sc1ab` in `sc1ab1`, but not `m12x10` in `m12x105`: what is added may not go on with the same digits.
    short, long = sorted((one, other), key=len)
    start = long.find(short) if len(short) >= 5 else -1
    if start < 0:
        return False
    end = start + len(short)
    opens = start == 0 or long[start - 1].isdigit() != short[0].isdigit()
    return opens and (end == len(long) or long[end].isdigit() != short[-1].isdigit())


def other_makers(one: str, other: str) -> bool:
    """Whether two names of manufacturers, as folded, are those of two firms."""
    return fuzz.token_set_ratio(one, other) < 60


def _maker(left: Profile, right: Profile) -> float:
    if left.maker and right.maker:
        return MAKER if other_makers(left.maker, right.maker) else 0.0
    if not left.maker and not right.maker:
        return 0.0
    named, other = (left, right) if left.maker else (right, left)
    start = named.maker[:4]
    found = any(word in other.text for word in named.maker.split()) or any(w.startswith(start) for w in other.text)
    return 0.0 if found else _MAKER_ABSENT
