"""Carrying out the planned attacks: a thread for each service, so that they overlap as they please."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.plan import Attack, Plan, Target
from tests.chaos.service import Service


@dataclass(frozen=True, slots=True)
class Strike:
    """An attack that was carried out: when, in Unix seconds, and which processes it hit."""

    attack: Attack
    began: float
    ended: float
    pids: frozenset[int]


class Attackers:
    """Attack from ``start()`` until ``heal()``, after which every process runs or is being started again."""

    def __init__(self, plan: Plan, services: Mapping[Target, Service]) -> None:
        self.strikes: list[Strike] = []
        self._plan = plan
        self._healed = threading.Event()
        self._threads = [
            threading.Thread(target=self._attack, args=(target, service), name=f"attacker of {target}", daemon=True)
            for target, service in services.items()
        ]

    def start(self) -> None:
        self._begun = time.monotonic()
        for thread in self._threads:
            thread.start()

    def heal(self) -> None:
        """Wait for the attacks under way; a frozen process goes on at once."""
        self._healed.set()
        for thread in self._threads:
            thread.join(120)

    def numbers(self) -> Counter[str]:
        """How many attacks of each kind hit something."""
        return Counter(strike.attack.kind for strike in self.strikes)

    def _attack(self, target: Target, service: Service) -> None:
        attacks = [attack for attack in self._plan.attacks if attack.target is target]
        for attack, following in zip(attacks, [*attacks[1:], None], strict=True):
            pause = self._begun + attack.at - time.monotonic()
            if self._healed.wait(max(0.0, pause)):
                return
            while not service.wait_ready(0.2):  # a service that is still starting has nothing to lose
                if self._healed.is_set():
                    return
            if following is not None and time.monotonic() > self._begun + following.at:
                continue  # on a slow machine fewer attacks, not one upon the other
            began = time.time()
            pids = service.strike(attack, self._healed)
            if pids:
                self.strikes.append(Strike(attack, began, time.time(), frozenset(pids)))
