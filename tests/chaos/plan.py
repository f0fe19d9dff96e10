"""What a run does, decided before it begins: the jobs and the attacks. The same seed makes the same plan."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass, field
from enum import StrEnum

#: Seconds. Short, so that leases end, and frozen workers lose theirs, many times in a run.
VISIBILITY_TIMEOUT = 5.0

#: Seconds from the last planned submission to the end of the attacks, so that the last jobs are attacked too.
TAIL = 10.0


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job of a client: what it submits, when, and what it does with it then."""

    number: int
    at: float  # seconds from the start of the run
    transactional: bool
    seconds: float
    fails: bool
    retries: int  # runs that ask for another one before the last
    delay: float  # seconds between acceptance and the first run
    cancel_after: float | None  # seconds after acceptance
    terminates: bool  # cancels the hard way
    looks_at_once: bool  # reads its result right after the 202
    repeats: bool  # submits again under the same key, as after a lost reply

    @property
    def task(self) -> str:
        return "chaos.transactional" if self.transactional else "chaos.plain"

    @property
    def body(self) -> dict[str, object]:
        return {
            "number": self.number,
            "seconds": self.seconds,
            "fails": self.fails,
            "retries": self.retries,
        }

    @property
    def path(self) -> str:
        """Where it is submitted."""
        return f"/tasks/{self.task}/jobs" + (f"?delay={self.delay}" if self.delay else "")


class Target(StrEnum):
    """A service that is attacked; each has its own sequence of attacks."""

    API = "api"
    PREFORK = "prefork"
    THREADS = "threads"
    BEAT = "beat"
    REDIS = "redis"


class Part(StrEnum):
    """Which of a service's processes."""

    TREE = "tree"
    PARENT = "parent"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Attack:
    """One signal to one service; ``pause`` is how long a SIGSTOP lasts, in seconds."""

    at: float
    target: Target
    part: Part
    signal: signal.Signals
    pause: float = 0.0
    choice: float = 0.0  # in [0, 1): which of several children

    @property
    def kind(self) -> str:
        return f"{self.target} {self.part} {self.signal.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done."""

    seed: int
    seconds: float
    jobs: list[PlannedJob] = field(repr=False)
    attacks: list[Attack] = field(repr=False)


#: Mean seconds between two attacks on a service.
_MEAN_GAP = {Target.API: 15.0, Target.PREFORK: 13.0, Target.THREADS: 13.0, Target.BEAT: 25.0, Target.REDIS: 22.0}
_HAS_CHILDREN = {Target.API, Target.PREFORK}
_LONG_FREEZES = {Target.PREFORK, Target.THREADS}
_FIRST_ATTACK = 2.0


def make_plan(seed: int, jobs: int, seconds: float, *, gaps: float = 1.0) -> Plan:
    """A run of ``seconds`` seconds of submissions and attacks; half the ``gaps`` are about twice the attacks."""
    # One generator for each sequence: more jobs leave the attacks as they were.
    planned = _jobs(random.Random(f"{seed} jobs"), jobs, max(1.0, seconds - TAIL))
    attacks = [
        attack
        for target in Target
        for attack in _attacks(random.Random(f"{seed} {target}"), target, seconds, _MEAN_GAP[target] * gaps)
    ]
    return Plan(seed, seconds, planned, sorted(attacks, key=lambda attack: attack.at))


def _jobs(chance: random.Random, count: int, seconds: float) -> list[PlannedJob]:
    moments = sorted(chance.uniform(0, seconds) for _ in range(count))
    return [_job(chance, number, at) for number, at in enumerate(moments)]


def _job(chance: random.Random, number: int, at: float) -> PlannedJob:
    length = chance.random()
    if length < 0.003:
        seconds = VISIBILITY_TIMEOUT * 1.5  # outlasts its lease unless that is renewed
    elif length < 0.009:
        seconds = 3.0
    elif length < 0.04:
        seconds = chance.uniform(0.2, 1.0)
    else:
        seconds = chance.uniform(0.001, 0.01)
    cancelled = chance.random() < 0.05
    if cancelled:
        seconds = chance.uniform(0.5, 3.0)
    delayed = chance.random() < (0.4 if cancelled else 0.05)
    return PlannedJob(
        number=number,
        at=at,
        transactional=chance.random() < 0.5,
        seconds=round(seconds, 4),
        fails=chance.random() < 0.04,
        retries=chance.choice((1, 2)) if chance.random() < 0.05 else 0,
        delay=round(chance.uniform(1.5, 8.0), 3) if delayed else 0.0,
        cancel_after=round(chance.uniform(0.0, 2.0), 3) if cancelled else None,
        terminates=chance.random() < 0.5,
        looks_at_once=chance.random() < 0.1,
        repeats=chance.random() < 0.05,
    )


def _attacks(chance: random.Random, target: Target, seconds: float, gap: float) -> list[Attack]:
    found, at = [], _FIRST_ATTACK + chance.expovariate(1 / gap)
    while at < seconds:
        attack = _attack(chance, target, at)
        found.append(attack)
        at += attack.pause + chance.expovariate(1 / gap)
    return found


def _attack(chance: random.Random, target: Target, at: float) -> Attack:
    kind = chance.choices((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP), (5, 2, 3))[0]
    parts = (Part.TREE, Part.PARENT, Part.CHILD) if target in _HAS_CHILDREN else (Part.TREE,)
    part = chance.choices(parts, (3, 3, 4)[: len(parts)])[0]
    pause = 0.0
    if kind is signal.SIGSTOP:
        outlasts_its_lease = target in _LONG_FREEZES and chance.random() < 0.5
        pause = chance.uniform(1.4, 2.0) * VISIBILITY_TIMEOUT if outlasts_its_lease else chance.uniform(0.2, 3.0)
    return Attack(at, target, part, kind, round(pause, 3), chance.random())
