"""The page, what it loads, and the policy under which it does: from here, nothing inline, no HTML from strings."""

from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, request

from app.browser_sessions import BrowserSessions
from app.console import session
from app.console.assets import Assets
from config import Config

_ASSETS = "/console/assets"
_YEAR = 31_536_000

#: Scripts come as files from here alone. Trusted Types, without a policy, leave no way to make HTML of a string.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Taskgate</title>
<link rel="icon" type="image/svg+xml" href="{base}/icon.svg">
{links}
<script type="module" src="{base}/main.js"></script>
</head>
<body>
<div id="console"></div>
<noscript>The console of Taskgate needs JavaScript. The API does not: /docs/ describes it.</noscript>
</body>
</html>
"""

#: Loaded where there is something to plot.
_LATER = ("vendor/uplot.mjs", "vendor/uplot.css")


def init_app(app: Flask, config: Config) -> None:
    """Give ``app`` its sessions of browsers."""
    backend: Any = app.extensions["celery"].backend
    app.extensions["browser_sessions"] = BrowserSessions(backend, ttl=config.session_ttl)


def make_blueprint() -> Blueprint:
    """``/`` and what is below ``/console``."""
    blueprint = Blueprint("console", __name__)
    assets = Assets(Path(__file__).parent / "static")

    def page() -> Response:
        base = f"{_ASSETS}/{assets.version}"
        html = _PAGE.format(base=base, links=_links(assets, base))
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "Cache-Control": "no-cache"}
        response = Response(html, mimetype="text/html", headers=headers)
        response.add_etag()
        response.make_conditional(request)
        return response

    def asset(version: str, name: str) -> Response:
        if name not in assets.files:
            abort(404)
        found = assets.files[name]
        compressed = bool(request.accept_encodings["gzip"])
        response = Response(found.compressed if compressed else found.body, content_type=found.content_type)
        response.vary.add("Accept-Encoding")
        if compressed:
            response.content_encoding = "gzip"
        if version == assets.version:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
        else:  # of a page from before an update, or of another process that is yet to be updated
            response.headers["Cache-Control"] = "no-store"
        return response

    blueprint.add_url_rule("/", "page", page)
    blueprint.add_url_rule(f"{_ASSETS}/<version>/<path:name>", "asset", asset)
    blueprint.add_url_rule("/console/session", "session", session.show)
    blueprint.add_url_rule("/console/session", "sign_in", session.sign_in, methods=["POST"])
    blueprint.add_url_rule("/console/session", "sign_out", session.sign_out, methods=["DELETE"])
    return blueprint


def _links(assets: Assets, base: str) -> str:
    """Every style, and every module at once: found import by import they would be a round trip each."""
    names = [name for name in assets.files if name not in _LATER]
    styles = [f'<link rel="stylesheet" href="{base}/{name}">' for name in names if name.endswith(".css")]
    modules = [f'<link rel="modulepreload" href="{base}/{name}">' for name in names if name.endswith("js")]
    return "\n".join([*styles, *modules])
