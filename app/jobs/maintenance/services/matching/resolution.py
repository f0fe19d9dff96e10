"""Which of the competing pairs to believe."""

from collections import defaultdict
from collections.abc import Mapping

from .evidence import Evidence

Pair = tuple[int, int]

# How much better (in log-odds) another partner must be before a pair gives way to it.
_CLEARLY_BETTER = 0.5


def resolve(pairs: Mapping[Pair, Evidence], least: float) -> dict[Pair, Evidence]:
    """The pairs with log-odds of at least `least` in which neither row has a clearly better partner.

    A pair without contradiction also stays when the better partner matches both rows without contradiction:
    three spellings of one part are one group, not rivals.
    """
    partners: dict[int, dict[int, Evidence]] = defaultdict(dict)
    for (left, right), evidence in pairs.items():
        partners[left][right] = evidence
        partners[right][left] = evidence
    return {
        pair: evidence
        for pair, evidence in pairs.items()
        if evidence.log_odds >= least
        and not _has_rival(pair[0], pair[1], evidence, partners, least)
        and not _has_rival(pair[1], pair[0], evidence, partners, least)
    }


def _has_rival(
    row: int, partner: int, evidence: Evidence, partners: Mapping[int, Mapping[int, Evidence]], least: float
) -> bool:
    for other, better in partners[row].items():
        if better.log_odds <= evidence.log_odds + _CLEARLY_BETTER:
            continue
        link = partners[partner].get(other)
        together = link is not None and link.log_odds >= least and not link.contradicted
        if evidence.contradicted or better.contradicted or not together:
            return True
    return False
