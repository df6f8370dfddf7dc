"""Refusals: what the service says when it does not answer, as an exception and as RFC 9457 problem details.

Belongs here: the kinds of refusal and their JSON. Does not belong here: deciding to refuse (`serving.http.parameters`,
`serving.answers`, `serving.http.middleware`).
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from recommender.errors import MarqueeError

MEDIA_TYPE = "application/problem+json"


class Problem(MarqueeError):
    """A request that gets no answer, and why.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        Short name of the kind of problem, stable; ends the problem's type URN.
    detail : str
        One sentence for people: what is wrong with what, and what to do.
    parameter : str, optional
        The parameter that is to blame.
    headers : mapping, optional
        HTTP headers the refusal carries.
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

    def body(self) -> dict[str, Any]:
        """Problem details as plain values; `parameter` is left out where no parameter is to blame."""
        values: dict[str, Any] = {
            "type": f"urn:marquee:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.parameter is not None:
            values["parameter"] = self.parameter
        return values

    def encoded(self) -> bytes:
        """JSON of the body."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def bad_parameter(parameter: str, detail: str) -> Problem:
    """Make the refusal of a value that no release could answer."""
    return Problem(422, "bad-parameter", detail, parameter)


def not_found(parameter: str, detail: str) -> Problem:
    """Make the refusal of a well-formed value that this release does not know."""
    return Problem(404, "not-found", detail, parameter)


def no_release(detail: str) -> Problem:
    """Make the refusal while nothing is published: the only 5xx the service sends on purpose."""
    return Problem(503, "no-release", detail, headers={"Retry-After": "5"})
