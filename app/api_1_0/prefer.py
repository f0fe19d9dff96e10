"""The ``Prefer`` header (RFC 7240), of which ``wait`` means something here."""

import re

from flask import Request

from app.api_1_0.polling import LONGEST_WAIT

#: One preference, its parameters passed over.
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.IGNORECASE)


def preferred_wait(request: Request) -> int:
    """For how many seconds the client would rather wait for the outcome, 30 at the most; 0 when it says nothing.

    What cannot be understood is passed over, as the RFC has it; of several the first one counts.
    """
    if "HTTP_PREFER" not in request.environ:  # looked up: ``headers`` are searched from end to end
        return 0
    for header in request.headers.getlist("Prefer"):
        for preference in header.split(","):
            wait = _WAIT.fullmatch(preference)
            if wait is not None:
                return min(int(wait[1]), LONGEST_WAIT)
    return 0
