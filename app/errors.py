"""Every error as a problem document (RFC 9457). The one place where an exception becomes an HTTP status."""

import logging
from http import HTTPStatus

from flask import Flask, Response, g, json, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as WerkzeugResponse

from app.file_problems import file_problem
from app.files import FilesError
from app.library_problems import of_library
from app.problem import CONTENT_TYPE, RETRY_AFTER, ProblemError, problem_fields

logger = logging.getLogger(__name__)


def problem_response(problem: ProblemError) -> Response:
    """The problem document, with the request's id."""
    body = problem_fields(problem)
    if "request_id" in g:
        body["request_id"] = g.request_id
    response = Response(json.dumps(body), status=problem.status, content_type=CONTENT_TYPE)
    response.headers.update(problem.headers)
    return response


def as_problem(error: Exception) -> ProblemError:
    """The problem that an exception is to a client. What is not known here is a 500 that tells nothing."""
    match error:
        case ProblemError():
            return error
        case ValidationError():
            return ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The request is not valid; see errors.",
                errors=error.normalized_messages(),  # type: ignore[no-untyped-call]
            )
        case FilesError():
            status, detail = file_problem(error)
            away = status is HTTPStatus.SERVICE_UNAVAILABLE
            return ProblemError(status, detail, headers={"Retry-After": str(RETRY_AFTER)} if away else None)
        case ParseException():  # while a view reads its body: a trailer that is none
            return ProblemError(HTTPStatus.BAD_REQUEST, _DETAILS[400])
        case HTTPException():
            return _of_http_exception(error)
    return of_library(error) or ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong on our side. Try again; if it stays, report the request_id.",
    )


def handle(error: Exception) -> WerkzeugResponse:
    """Flask's handler of every exception."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < HTTPStatus.BAD_REQUEST:
        return error.get_response(request.environ)  # a redirect
    problem = as_problem(error)
    if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = error.original_exception if isinstance(error, InternalServerError) else error
        # The path without its query: a query can carry a token. Quoted: it can carry line ends.
        logger.error("Unhandled error in %s %r", request.method, request.path, exc_info=cause)
    return problem_response(problem)


def init_app(app: Flask) -> None:
    """Answer every exception of ``app``, also those werkzeug raises for unknown URLs, with a problem document."""
    app.register_error_handler(Exception, handle)


_DETAILS = {
    400: "The request cannot be understood. Check its syntax.",
    404: "There is nothing at this address. GET /api/1.0/openapi.json lists what there is.",
    405: "This address does not take this method; see Allow.",
    412: "The file is another one than If-Match or If-Unmodified-Since names.",
    413: "The request is larger than this service accepts.",
    414: "The address is longer than this service accepts.",
    415: "Send the body as the media type that the documentation names.",
    416: "The range lies outside of the file; Content-Range has its size.",
}


def _of_http_exception(error: HTTPException) -> ProblemError:
    """The texts of werkzeug can repeat the client's input, so only its status and headers are taken over."""
    status = HTTPStatus(error.code or 500)
    headers = {
        name: value for name, value in error.get_headers() if name.lower() not in ("content-type", "content-length")
    }
    other = f"{status.description or status.phrase}; GET {_api('openapi.json')} says what this service takes."
    return ProblemError(status, _DETAILS.get(status.value, other), headers=headers)


def _api(path: str) -> str:
    return f"/api/1.0/{path}"
