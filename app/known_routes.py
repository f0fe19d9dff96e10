"""Which route a path has, remembered by the path's shape: what werkzeug's matching has said of one like it.

werkzeug goes through its rules a segment at a time, by regular expressions, for each request anew. Paths differ in a
job's id, nearly all of them in nothing else, and what an id matches, any id does.
"""

import re
from typing import Any

from werkzeug.routing import MapAdapter, Rule, UnicodeConverter

#: A segment that is a UUID, as ids of jobs are; no route has one of its own.
_ID = re.compile(r"(?<=/)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=/|\Z)")

#: Paths without an id are the clients' own, so that they are neither long nor many.
_LONGEST_PATH = 200
_MOST_KEPT = 1_000


class RememberingAdapter(MapAdapter):
    """One request's, of an application whose routes do not change any more."""

    known: dict[tuple[str, ...], tuple[Rule, dict[str, Any], str | None]]

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As werkzeug's, with the same exceptions, which are not remembered."""
        path = self.path_info
        if args or kwargs != {"return_rule": True} or self.websocket or len(path) > _LONGEST_PATH:
            return super().match(*args, **kwargs)
        found = _ID.search(path)
        job = None if found is None else found[0]
        parts = (path,) if found is None else (path[: found.start()], path[found.end() :])
        shape = (self.default_method, *parts)
        route = self.known.get(shape)
        if route is not None:
            rule, values, name = route
            return rule, values.copy() if name is None else {**values, name: job}
        matched = super().match(return_rule=True)
        self._remember(shape, matched[0], dict(matched[1]), job)
        return matched

    def _remember(self, shape: tuple[str, ...], rule: Rule, values: dict[str, Any], job: str | None) -> None:
        names = [name for name, value in values.items() if job is not None and value == job]
        if job is not None and (len(names) != 1 or type(rule._converters.get(names[0])) is not UnicodeConverter):
            return
        if len(self.known) >= _MOST_KEPT:
            self.known.clear()
        self.known[shape] = rule, values, names[0] if names else None
