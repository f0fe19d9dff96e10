"""The clients: they submit over HTTP, lose replies, try again under the same key, look, repeat and cancel."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tests.chaos.plan import Plan, PlannedJob

#: Seconds a client waits for an answer before it counts the reply as lost.
PATIENCE = 3.0

_PAUSE = 0.25


@dataclass
class Submission:
    """What the client of one job has seen."""

    job: PlannedJob
    task_id: str | None = None  # of the first 202
    accepted_at: float = 0.0
    other_ids: set[str] = field(default_factory=set)  # of further answers under the same key
    lost_replies: int = 0
    unknown_after_202: bool = False
    cancel_answer: int | None = None


class Clients:
    """``count`` concurrent clients with one API key.

    Args:
        keys: whether they send an idempotency key.
    """

    def __init__(self, plan: Plan, base_url: str, headers: dict[str, str], *, count: int = 12, keys: bool) -> None:
        self.submissions = [Submission(job) for job in plan.jobs]
        self.answers: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self._base_url, self._headers, self._keys = f"{base_url}/api/1.0", headers, keys
        self._key = f"chaos-{plan.seed}"
        self._agenda: list[tuple[float, int, Callable[[httpx.Client], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._open = 0
        self._give_up = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"client {n}", daemon=True) for n in range(count)]

    def start(self) -> None:
        now = time.monotonic()
        for submission in self.submissions:
            self._plan_at(now + submission.job.at, self._submitting(submission))
        for thread in self._threads:
            thread.start()

    def finish(self, timeout: float) -> None:
        """Wait until all have done what they planned; after ``timeout`` seconds they give up."""
        timer = threading.Timer(timeout, self._give_up.set)
        timer.start()
        for thread in self._threads:
            thread.join()
        timer.cancel()

    def _plan_at(self, moment: float, action: Callable[[httpx.Client], None]) -> None:
        with self._changed:
            self._open += 1
            heapq.heappush(self._agenda, (moment, next(self._order), action))
            self._changed.notify()

    def _run(self) -> None:
        with httpx.Client(base_url=self._base_url, headers=self._headers, timeout=PATIENCE) as client:
            while (action := self._next()) is not None:
                try:
                    action(client)
                finally:
                    with self._changed:
                        self._open -= 1
                        self._changed.notify_all()

    def _next(self) -> Callable[[httpx.Client], None] | None:
        with self._changed:
            while self._open and not self._give_up.is_set():
                wait = self._agenda[0][0] - time.monotonic() if self._agenda else 0.5
                if self._agenda and wait <= 0:
                    return heapq.heappop(self._agenda)[2]
                self._changed.wait(min(wait, 0.5))
        return None

    def _submitting(self, submission: Submission) -> Callable[[httpx.Client], None]:
        def submit(client: httpx.Client) -> None:
            job = submission.job
            headers = {"Idempotency-Key": f"{self._key}-{job.number}"} if self._keys else {}
            answer = self._insist(client, submission, "POST", job.path, headers, json=job.body)
            if answer is None:
                return
            task_id = answer.json()["task_id"]
            if submission.task_id is not None:
                submission.other_ids |= {task_id} - {submission.task_id}
                return
            submission.task_id, submission.accepted_at = task_id, time.time()
            now = time.monotonic()
            if job.looks_at_once:
                self._plan_at(now, self._looking(submission))
            if job.repeats and self._keys:
                self._plan_at(now + 1, submit)
            if job.cancel_after is not None:
                self._plan_at(now + job.cancel_after, self._cancelling(submission))

        return submit

    def _looking(self, submission: Submission) -> Callable[[httpx.Client], None]:
        def look(client: httpx.Client) -> None:
            self._insist(client, submission, "GET", f"/results/{submission.task_id}", {})

        return look

    def _cancelling(self, submission: Submission) -> Callable[[httpx.Client], None]:
        def cancel(client: httpx.Client) -> None:
            query = "?terminate=true" if submission.job.terminates else ""
            answer = self._insist(client, submission, "DELETE", f"/jobs/{submission.task_id}{query}", {})
            submission.cancel_answer = answer.status_code if answer is not None else None

        return cancel

    def _insist(
        self,
        client: httpx.Client,
        submission: Submission,
        method: str,
        path: str,
        headers: dict[str, str],
        json: dict[str, object] | None = None,
    ) -> httpx.Response | None:
        """Send until there is an answer that is not "later". Returns: a 2xx, or a 409 to a cancel; else None."""
        while not self._give_up.is_set():
            try:
                answer = client.request(method, path, headers=headers, json=json)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                submission.lost_replies += not isinstance(error, httpx.ConnectError)
                self._give_up.wait(_PAUSE)
                continue
            self.answers[f"{method} {answer.status_code}"] += 1
            if answer.status_code in (429, 503):
                self._give_up.wait(_PAUSE)
                continue
            if answer.is_success or (method, answer.status_code) == ("DELETE", 409):
                return answer
            if answer.status_code == 404:
                submission.unknown_after_202 = True
            else:
                self.unexpected.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return None
        return None
