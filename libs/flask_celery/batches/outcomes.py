"""What became of each item of a batch."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from libs.flask_celery.states import JobState

#: How the one who submits wants an item's error told; it is kept like that for a repetition of the submission.
Describe = Callable[[Exception], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one item. ``refusal`` says why it was not accepted; None when it was.

    With both a task id and a refusal nobody knows: the broker went away without an answer. The id's record tells.
    """

    task_id: str | None = None
    state: JobState | None = None
    refusal: Mapping[str, Any] | None = None
    replayed: bool = False  # accepted earlier and elsewhere, under the item's own idempotency key
    already_running: bool = False  # accepted earlier and elsewhere, of a task that is unique

    @property
    def is_of_batch(self) -> bool:
        """Whether it is a job of the batch."""
        return self.refusal is None and not (self.replayed or self.already_running)

    def to_json(self) -> str:
        """As it is kept."""
        kept = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in kept.items() if value})

    @classmethod
    def of_json(cls, kept: bytes | str) -> "Outcome":
        """What ``to_json`` has written."""
        fields = json.loads(kept)
        state = fields.pop("state", None)
        return cls(**fields, state=None if state is None else JobState(state))


def describe_error(error: Exception) -> dict[str, Any]:
    """Its class and what it says."""
    return {"type": type(error).__name__, "detail": str(error)}
