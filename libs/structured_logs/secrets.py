"""Keys and tokens, which nobody is to find in a log."""

import re

#: API keys and access tokens, wherever they may have been put. ``gunicorn.conf.py`` has its own: it is read before
#: anything may be imported.
_SECRET = re.compile(r"\b(tgj?_)[A-Za-z0-9_.-]{8,}")


def hide_secrets(text: str) -> str:
    """The text with ``[hidden]`` in the place of each."""
    return _SECRET.sub(r"\1[hidden]", text) if "tg_" in text or "tgj_" in text else text
