"""Predicted pairs against the true ones."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares in 0..1; `f1` is the harmonic mean of the other two."""

    precision: float
    recall: float
    f1: float


def evaluate(predicted: Iterable[tuple[str, str]], truth: Iterable[tuple[str, str]]) -> Quality:
    """Quality of `predicted`; pairs are unordered, repeats count once, nothing right makes all shares 0."""
    found = {frozenset(pair) for pair in predicted}
    wanted = {frozenset(pair) for pair in truth}
    right = len(found & wanted)
    if not right:
        return Quality(0.0, 0.0, 0.0)
    precision, recall = right / len(found), right / len(wanted)
    return Quality(precision, recall, 2 * precision * recall / (precision + recall))
