"""How deeply JSON may be nested."""

import re

#: Levels of arrays and objects. Whatever takes apart what was submitted, in the API, in Redis or in a worker, goes
#: down as deep as that: what one parser stands is not what all of them stand.
DEEPEST = 64

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BETWEEN_BRACKETS = re.compile(r"[^\[\]{}]+")


def is_too_deep(text: str) -> bool:
    """Whether valid JSON is nested more than :data:`DEEPEST` levels deep. In linear time, and without recursion."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    brackets = _BETWEEN_BRACKETS.sub("", _STRING.sub("", text)).replace("{", "[").replace("}", "]")
    for _ in range(DEEPEST):
        if not brackets:
            return False
        brackets = brackets.replace("[]", "")  # those of the innermost level
    return bool(brackets)
