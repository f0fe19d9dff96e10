"""The figures of all rounds as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.rates.measures import Figures


def table(told: Mapping[str, Sequence[Figures]], base: str) -> str:
    """Medians, each with its ratio to the base's: the median of the ratios of the rounds, taken pairwise."""
    names = list(dict.fromkeys(name for rounds in told.values() for figures in rounds for name in figures))
    width = max(map(len, names), default=0)
    lines = [f"{'':<{width}}" + "".join(f"{system[:22]:>24}" for system in told)]
    for name in names:
        cells = [f"{cell(rounds, told.get(base, []), name):>24}" for rounds in told.values()]
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def cell(rounds: Sequence[Figures], base: Sequence[Figures], name: str) -> str:
    value = median(rounds, name)
    if value is None:
        return "-"
    against = ratio(rounds, base, name)
    return number(value) + (f" ({against:.2f})" if against is not None else "")


def median(rounds: Sequence[Figures], name: str) -> float | None:
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def ratio(rounds: Sequence[Figures], base: Sequence[Figures], name: str) -> float | None:
    pairs = [
        (figures[name], others[name])
        for figures, others in zip(rounds, base, strict=False)
        if name in figures and others.get(name)
    ]
    return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
