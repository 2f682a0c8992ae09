"""Problem documents (RFC 9457): how the API says why something was not carried out."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec

from tieline import metrics
from tieline.api.bodies import FieldProblem, Problem

MEDIA_TYPE: Final = "application/problem+json"

NOTHING_MORE: Final[Mapping[str, str]] = MappingProxyType({})

NO_STORE: Final = {"Cache-Control": "no-store"}

NO_SUCH_PATH: Final = (
    "nothing is at this path: /openapi.json says what there is; a `/` within an id is written %2F"
)

_log = logging.getLogger(__name__)

_REASONS: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "BAD_REQUEST",
}


class Refusal(Exception):
    """A request is not carried out; it is answered with a problem document."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        headers: Mapping[str, str] = NOTHING_MORE,
        errors: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers
        self.errors = errors


def refused(
    status: int,
    reason: str,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] = NOTHING_MORE,
) -> Response[Problem]:
    """Make the answer."""
    metrics.API_REFUSED.labels(reason).inc()
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, reason=reason, errors=list(errors)
    )
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers={**NO_STORE, **headers})


def on_refusal(_request: Request[Any, Any, Any], refusal: Refusal) -> Response[Problem]:
    """Answer what a resource has refused."""
    return refused(refusal.status, refusal.reason, refusal.detail, refusal.errors, refusal.headers)


def on_http_exception(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Answer what the framework has refused: a path, a method, a body that is not as the document has it."""
    errors = [_field(each) for each in error.extra] if isinstance(error.extra, list) else []
    status = 400 if error.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE else error.status_code
    reason = _REASONS.get(status, "INTERNAL" if status >= 500 else "BAD_REQUEST")
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return refused(status, reason, _detail(error, headers), errors, headers)


def _detail(error: HTTPException, headers: Mapping[str, str]) -> str:
    """Say what could be asked instead, where it is the address that is wrong."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NO_SUCH_PATH
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = {each.strip() for allowed in headers.values() for each in allowed.split(",")}
        return f"this path takes {', '.join(sorted(methods - {'OPTIONS'}))}: /openapi.json says what for"
    return error.detail


def on_fault(_request: Request[Any, Any, Any], _error: Exception) -> Response[Problem]:
    """Answer for a bug of our own, which the log has."""
    _log.exception("request not answered: a bug")
    return refused(500, "INTERNAL", "something failed here; whether the request was carried out is unknown")


def _field(told: object) -> FieldProblem:
    """Read what the framework says of one field."""
    if not isinstance(told, dict):
        return FieldProblem(detail=str(told))
    if told.get("key") == "data":  # what handlers call the body: none came; a wrong one is refused when read
        return FieldProblem(detail="a body is wanted: an object of JSON, `{}` where it needs to say nothing")
    return FieldProblem(detail=str(told.get("message", "")), field=str(told.get("key", "")))


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Say in the document which problems an operation may be answered with, beside those of all."""
    told = {
        400: "the request is not as this document has it",
        401: "no key, or none that is good",
        403: "the key does not allow this",
        404: "there is no such thing",
        413: "the request has more bytes than one may have",
        409: "it cannot be done as things stand, or a later request about the same was carried out before",
        422: "the Idempotency-Key was used for another request",
        501: "this deployment is not set up for it",
        503: "presence does not answer; ask again, with the same Idempotency-Key",
    }
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, description=told[status], media_type=MEDIA_TYPE
        )
        for status in (400, 401, 403, *statuses)
    }
