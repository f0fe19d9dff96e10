"""What the whole table says about each row: which tokens are rare in it, and so tell parts apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from .measures import Measure
from .tokens import Tokens, is_identifier, long_numbers, stem

# How far a derived spelling can be trusted to name the same part, against 1 for the identifier as written.
_AS_WRITTEN, COMPOUND, _STEM, _IN_DETAILS, _NUMBER, _DETAIL_STEM = 1.0, 0.9, 0.85, 0.85, 0.7, 0.7
# An identifier in more rows than this describes (a norm, a thread, a resistance) more than it identifies.
_DESCRIBING = 16
# A word in this many rows is no misspelling.
_KNOWN = 4
# A word of one row only cannot agree with any other, so a slip of the pen would weigh most of all.
_SINGLE = 0.5

_COLOURS = frozenset(
    {"black", "white", "silver", "red", "blue", "green", "pink", "gray", "grey", "gold", "brown", "purple"}
    | {"orange", "yellow", "beige", "chrome", "bronze", "stainless", "titanium"}
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One row ready for comparison.

    `forms` are all spellings of identifiers found in the row, with the trust in each; `named` those from its
    name; `own` its identifiers as written. `words` are the describing tokens of the name, `numbers` those
    among them with digits (a norm, a grade), and `text` the tokens of the whole row.
    """

    name: str
    forms: dict[str, float]
    named: frozenset[str]
    own: tuple[str, ...]
    own_strength: float
    words: frozenset[str]
    norm: float
    text: frozenset[str]
    numbers: frozenset[str]
    measures: frozenset[Measure]
    colours: frozenset[str]
    maker: str
    price: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """All profiles with the weights the table gives its tokens.

    A word that weighs `known_weight` or less stands in several rows, so it is no misspelling.
    """

    profiles: list[Profile]
    weight: dict[str, float]
    strength: dict[str, float]
    known_weight: float


def profile_table(rows: Sequence[Tokens], prices: Sequence[float | None]) -> Table:
    """Profiles in the order of `rows`.

    `Table.weight` is the squared inverse document frequency of a word. `Table.strength` is how surely an
    identifier names one part, 0..1: it falls with the square root of the number of rows that hold it (2 rows
    give 1), and short identifiers count less because they meet by chance.
    """
    forms = [_forms(row) for row in rows]
    spelled = {form for row in forms for form in row}.union(*(row.words for row in rows))
    compounds = [frozenset(row.compounds & spelled) for row in rows]
    for row, known, found in zip(rows, compounds, forms, strict=True):
        _add_secondary(row, known, found)
    seen = Counter(form for row in forms for form in row)
    strength = {form: min(1.0, sqrt(2 / rows_)) * min(1.0, (len(form) - 1) / 4) for form, rows_ in seen.items()}
    words = [_words(row, known, seen) for row, known in zip(rows, compounds, strict=True)]
    frequency = Counter(
        word for row, own in zip(rows, words, strict=True) for word in own | row.details | row.detail_identifiers
    )
    weight = {
        word: log(1 + len(rows) / count) ** 2 * (_SINGLE if count == 1 else 1) for word, count in frequency.items()
    }
    table = Table([], weight, strength, log(1 + len(rows) / _KNOWN) ** 2)
    for row, price, found, own in zip(rows, prices, forms, words, strict=True):
        table.profiles.append(_profile(row, price, found, own, table))
    return table


def _forms(row: Tokens) -> dict[str, float]:
    found: dict[str, float] = {}
    for identifier in row.identifiers:
        _trust(found, identifier, _AS_WRITTEN)
        _trust(found, stem(identifier), _STEM)
        for number in long_numbers(identifier):
            _trust(found, number, _NUMBER)
    for part in row.parts:
        _trust(found, part, _STEM)
    return found


def _add_secondary(row: Tokens, compounds: frozenset[str], found: dict[str, float]) -> None:
    # Neighbouring words make an identifier only where another row writes them as one (`xh a1s`, `xha1s`).
    for compound in compounds:
        if is_identifier(compound):
            _trust(found, compound, COMPOUND)
    for identifier in row.detail_identifiers:
        _trust(found, identifier, _IN_DETAILS)
        _trust(found, stem(identifier), _DETAIL_STEM)


def _trust(found: dict[str, float], form: str, trust: float) -> None:
    if found.get(form, 0.0) < trust:
        found[form] = trust


def _words(row: Tokens, compounds: frozenset[str], seen: Counter[str]) -> frozenset[str]:
    plain = row.words | {compound for compound in compounds if not is_identifier(compound)}
    common = {identifier for identifier in row.identifiers if seen[identifier] > _DESCRIBING}
    sizes = {f"{dimension}:{'x'.join(f'{value:g}' for value in values)}" for dimension, values in row.measures}
    return frozenset(plain | common | sizes)


def _profile(
    row: Tokens, price: float | None, forms: dict[str, float], words: frozenset[str], table: Table
) -> Profile:
    named = set(row.identifiers) | row.parts | {stem(identifier) for identifier in row.identifiers}
    named |= {number for identifier in row.identifiers for number in long_numbers(identifier)}
    named |= {compound for compound in row.compounds if compound in forms}
    return Profile(
        name=row.name,
        forms=forms,
        named=frozenset(named),
        own=row.identifiers,
        own_strength=max((table.strength[identifier] for identifier in row.identifiers), default=0.0),
        words=words,
        norm=sqrt(sum(table.weight[word] for word in sorted(words))),
        text=words | row.details | row.detail_identifiers,
        numbers=frozenset(word for word in words if ":" not in word and any(char.isdigit() for char in word)),
        measures=row.measures,
        colours=_COLOURS & words,
        maker=row.maker,
        price=price,
    )
