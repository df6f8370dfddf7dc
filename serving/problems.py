"""A refusal: what the service says when it does not answer, as an exception and as RFC 9457 problem details.

Belongs here: the kinds of refusal and their JSON. Does not belong here: deciding to refuse (`serving.questions`,
`serving.answers`, `serving.http.middleware`).
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from recommender.errors import MarqueeError

MEDIA_TYPE = "application/problem+json"


class Problem(MarqueeError):
    """A request that gets no answer, and why.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        Short, stable name of the kind of problem; ends the problem's type URN.
    detail : str
        One sentence for people: what is wrong with what, and what to do.
    parameter : str, optional
        The parameter to blame.
    headers : mapping, optional
        HTTP headers of the refusal.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        parameter: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.parameter = status, kind, detail, parameter
        self.headers = dict(headers or {})

    def encoded(self) -> bytes:
        """Problem details as JSON; without `parameter` where no parameter is to blame."""
        values: dict[str, Any] = {
            "type": f"urn:marquee:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.parameter is not None:
            values["parameter"] = self.parameter
        return to_json(values)


def to_json(values: dict[str, Any]) -> bytes:
    """Encode what is sent, compactly; unpaired surrogates of a request become question marks."""
    try:
        return orjson.dumps(values, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # an unpaired surrogate is no Unicode text: the standard library has a way with it
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def bad_parameter(parameter: str, detail: str) -> Problem:
    """Refuse a value that no release could answer."""
    return Problem(422, "bad-parameter", detail, parameter)


def not_found(parameter: str, detail: str) -> Problem:
    """Refuse a well-formed value that this release does not know."""
    return Problem(404, "not-found", detail, parameter)


def no_release(detail: str) -> Problem:
    """Refuse while nothing is live: the only 5xx the service sends on purpose."""
    return Problem(503, "no-release", detail, headers={"Retry-After": "5"})
