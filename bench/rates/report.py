"""What was measured, as Markdown tables."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rates.measures import Figures

#: Whose pattern the others are compared with.
BASE = "flask_docs"

#: A column's title, and its figure.
_RATES = {
    "submit/s": "submit",
    "batch, jobs/s": "batch",
    "poll pending/s": "poll_pending",
    "poll final/s": "poll_final",
    "poll final, first time/s": "poll_once",
    "304/s": "not_modified",
    "worker jobs/s": "drain",
}
_TIMES = {
    "end to end p50 ms": "end_to_end_p50",
    "p95": "end_to_end_p95",
    "p99": "end_to_end_p99",
    "by polling p50 ms": "end_to_end_polled_p50",
    "held poll p50 ms": "held_poll_p50",
    "held p95": "held_poll_p95",
    "API MiB per 100,000 submissions": "memory_100k",
}
#: What the base has not, against what one would do there instead.
_INSTEAD = {"batch": "submit", "not_modified": "poll_final"}

_PLACE = re.compile(r"(<!-- figures: .*? -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def tables(told: Mapping[str, Any]) -> str:
    """Of what ``bench.rates`` writes as JSON."""
    systems = {name: each["rounds"] for name, each in told["systems"].items()}
    titles = {name: each["title"] for name, each in told["systems"].items()}
    parts = [as_list(told["machine"]), as_list(told["how"])]
    if BASE in systems and len(systems) > 1:
        columns = [*_RATES, *list(_TIMES)[:1]]
        parts += [
            f"**As ratios to {titles[BASE]}** (the median of each round's ratio; of times, less is better)",
            _table(titles, columns, lambda name, title: _ratio(systems, name, title)),
            "**As ratios of processor time** of the serving processes for each operation: how much more work the "
            "same processor does. This holds on a busy machine too.",
            _table(titles, list(_RATES), lambda name, title: _cpu_ratio(systems, name, title)),
        ]
    parts += [
        "**Medians**",
        _table(titles, list(_RATES), lambda name, title: _shown(_median(systems[name], _RATES[title]))),
        _table(titles, list(_TIMES), lambda name, title: _shown(_median(systems[name], _TIMES[title]))),
        "**Processor time for each operation in µs**: serving processes + Redis",
        _table(titles, list(_RATES), lambda name, title: _cpu(systems[name], _RATES[title])),
    ]
    parts.append(_errors(systems))
    if told.get("growth"):
        names = [name for name in next(iter(told["growth"].values())) if "_cpu" not in name] + ["bytes_each"]
        parts += [
            "**With many jobs queued**: operations a second (processor time of the API + of Redis in µs)",
            _table(
                {count: f"{count} jobs" for count in told["growth"]},
                list(dict.fromkeys(names)),
                lambda count, name: _with_cpu(told["growth"][count], name),
            ),
        ]
    if told.get("waiting"):
        said = "\n".join(told["waiting"])
        parts += ["**Clients that wait** (`python -m bench.waiting`)", f"```text\n{said}\n```"]
    return "\n\n".join(part for part in parts if part)


def _errors(systems: Mapping[str, Sequence[Figures]]) -> str:
    found = [
        f"{name}'s {figure.removesuffix('_errors')} {value:.2%}"
        for name, rounds in systems.items()
        for figures in rounds
        for figure, value in figures.items()
        if figure.endswith("_errors")
    ]
    return f"Answered with errors: {', '.join(found)}." if found else ""


def write_into(file: Path, text: str) -> None:
    """In place of what stands between the two marks of the file; the rest of it is kept.

    Raises: ValueError when it has none.
    """
    whole = file.read_text()
    if not _PLACE.search(whole):
        raise ValueError(f"{file} has no place for figures")
    file.write_text(_PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", whole))


def as_list(words: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in words.items())


def _table(rows: Mapping[str, str], columns: Sequence[str], cell: Any) -> str:
    cells = {name: [cell(name, column) for column in columns] for name in rows}
    kept = [number for number in range(len(columns)) if any(row[number] for row in cells.values())]
    if not kept:
        return ""
    lines = ["| | " + " | ".join(columns[number] for number in kept) + " |", "|---" * (len(kept) + 1) + "|"]
    lines += [
        f"| {title} | " + " | ".join(cells[name][number] for number in kept) + " |" for name, title in rows.items()
    ]
    return "\n".join(lines)


def _ratio(systems: Mapping[str, Sequence[Figures]], name: str, title: str) -> str:
    figure = {**_RATES, **_TIMES}[title]
    return _paired(
        systems[name], figure, systems[BASE], _compared(systems, figure), lambda ours, theirs: ours / theirs
    )


def _cpu_ratio(systems: Mapping[str, Sequence[Figures]], name: str, title: str) -> str:
    figure = _RATES[title]
    other = _compared(systems, figure)
    return _paired(
        systems[name], f"{figure}_cpu", systems[BASE], f"{other}_cpu", lambda ours, theirs: theirs / max(ours, 0.1)
    )


def _compared(systems: Mapping[str, Sequence[Figures]], figure: str) -> str:
    has = any(figure in figures for figures in systems[BASE])
    return figure if has else _INSTEAD.get(figure, figure)


def _paired(rounds: Sequence[Figures], figure: str, base: Sequence[Figures], other: str, of: Any) -> str:
    ratios = [
        of(ours[figure], theirs[other])
        for ours, theirs in zip(rounds, base, strict=False)
        if figure in ours and theirs.get(other)
    ]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _median(rounds: Sequence[Figures], name: str) -> float | None:
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cpu(rounds: Sequence[Figures], name: str) -> str:
    serving, redis = _median(rounds, f"{name}_cpu"), _median(rounds, f"{name}_redis_cpu")
    return "" if serving is None else f"{serving:,.0f} + {redis:,.0f}"


def _with_cpu(figures: Figures, name: str) -> str:
    cpu = _cpu([figures], name)
    return _shown(figures.get(name)) + (f" ({cpu})" if cpu else "")
