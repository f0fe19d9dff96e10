"""The reference as a page: Swagger UI over our document. Everything it loads comes from here, and none is inline."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, json, redirect, send_from_directory
from werkzeug.wrappers import Response as WerkzeugResponse

#: Swagger UI itself, as its package brings it along.
_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Taskgate</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/index.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png" sizes="32x32">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

#: ``validatorUrl``: the page calls nobody but this service, whatever the document says.
_START = """window.ui = SwaggerUIBundle({
  url: %s,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout"
});
"""

#: The styles of single elements are set by its script, one by one, which the policy of the page allows.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_blueprint(document_url: str) -> Blueprint:
    """``/docs/`` over the document at this address."""
    docs = Blueprint("docs", __name__, url_prefix="/docs")

    def start() -> Response:
        return Response(_START % json.dumps(document_url), mimetype="text/javascript")

    docs.add_url_rule("/start.js", "start", start)
    docs.add_url_rule("/", "page", _page)
    docs.add_url_rule("/index.html", "index", _to_page)
    docs.add_url_rule("/<path:name>", "asset", _asset)
    return docs


def _page() -> Response:
    return Response(_PAGE, mimetype="text/html", headers={"Content-Security-Policy": POLICY})


def _to_page() -> WerkzeugResponse:
    return redirect("/docs/")


def _asset(name: str) -> Response:
    return send_from_directory(_ASSETS, name)
