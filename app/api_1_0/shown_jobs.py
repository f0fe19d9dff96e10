"""Jobs as they have been shown, kept for as long as Redis holds the same records.

Redis is asked at each poll, so nothing that is shown here can be out of date: a record that has been deleted or has
expired is not there, and one that differs by a byte is read and shown anew. What is spared is to make the same answer
of the same record again, which takes longer than to fetch it.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from libs.flask_celery import JobRecord

#: Bytes that an entry takes beside its record and the answers made of it.
OVERHEAD = 2048

#: Part of the memory that one job may take.
_LARGEST = 1 / 8

#: Answers of one record: languages, time zones, and whether an admin asks.
_MOST_VIEWS = 8


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job in one view: to owners or admins, in a language and a time zone. Its record has no result any more."""

    record: JobRecord
    body: bytes
    etag: str


@dataclass(slots=True)
class _Entry:
    payload: bytes
    views: dict[Hashable, ShownJob] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.payload) + sum(len(shown.body) for shown in self.views.values())


class ShownJobs:
    """Those of one process, for any thread; those asked for last, in ``limit`` bytes. 0 keeps none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, task_id: str, payload: bytes, view: Hashable) -> ShownJob | None:
        """What was made in this view of this very record. Whose it is has to be looked at each time."""
        entry = self._entries.get(task_id)
        if entry is None or entry.payload != payload:
            return None
        with suppress(KeyError):  # another thread may have let go of it meanwhile
            self._entries.move_to_end(task_id)
        return entry.views.get(view)

    def keep(self, task_id: str, payload: bytes, view: Hashable, shown: ShownJob) -> None:
        """``shown`` must say nothing that is not in ``payload``."""
        with self._lock:
            entry = self._entries.pop(task_id, None)
            if entry is not None:
                self.size -= entry.size
            if entry is None or entry.payload != payload or len(entry.views) >= _MOST_VIEWS:
                entry = _Entry(payload)
            entry.views[view] = shown
            size = entry.size
            if size > self._limit * _LARGEST:
                return
            self._entries[task_id] = entry
            self.size += size
            while self.size > self._limit:
                self.size -= self._entries.popitem(last=False)[1].size
