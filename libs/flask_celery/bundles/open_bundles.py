"""What this worker's pool has in bundles. For any thread."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.flask_celery.bundles.bundle import Bundle


class OpenBundles:
    """Those that have not ended."""

    def __init__(self) -> None:
        self._bundles: set[Bundle] = set()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator["Bundle"]:
        """As they are now."""
        with self._lock:
            return iter(tuple(self._bundles))

    def add(self, bundle: "Bundle") -> None:
        """It is handed over."""
        with self._lock:
            self._bundles.add(bundle)

    def discard(self, bundle: "Bundle") -> None:
        """It has ended."""
        with self._lock:
            self._bundles.discard(bundle)

    def tags(self) -> set[str]:
        """Delivery tags of what is in them, begun or not."""
        return set().union(*(bundle.tags() for bundle in self))

    def break_up(self) -> None:
        """Take back all that has not begun. Raises: redis-py's errors."""
        for bundle in self:
            bundle.break_up()


#: Of this worker process.
open_bundles = OpenBundles()
