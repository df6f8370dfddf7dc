"""Middleware around every request: sizes, key and limits before it; safe headers, counts and a last resort after it.

Belongs here: what holds for all requests alike, as plain ASGI, because it runs for each of them. Does not belong here:
anything about films.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.access.admission import Admission
from serving.metrics import KEY_REQUESTS, LATENCY, REFUSED, REQUESTS
from serving.problems import MEDIA_TYPE, Problem
from serving.settings import ServingSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES = 65_536
"""Only /events reads a body, of `most_event_bytes` at most; elsewhere a small one is ignored."""

SAFE_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
]

logger = logging.getLogger("marquee.serving")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: App, settings: ServingSettings, admission: Admission) -> None:
        self.app, self.settings, self.admission = app, settings, admission
        self.hosts = {name.lower().strip("[]") for name in settings.allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, begun, key = 500, False, None
        head = scope["method"] == "HEAD"  # answered like GET, without the body
        if head:
            scope = {**scope, "method": "GET"}

        async def guarded(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                message["headers"] = [*message.get("headers", ()), *SAFE_HEADERS]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            self._require_form(scope)
            key = await self.admission.identify(scope)
            if key is not None:
                self.admission.require(key, scope["path"])
            await self.app(scope, receive, guarded)
        except Problem as problem:
            await send_problem(problem, guarded)
        except Exception:
            logger.exception("%s failed", scope["path"])
            if begun:
                raise
            await send_problem(Problem(500, "internal", "something went wrong here; the server's log has it"), guarded)
        endpoint = getattr(scope.get("route"), "path", "other")
        REQUESTS.labels(endpoint, status).inc()
        if key is not None:
            KEY_REQUESTS.labels(key.name, status).inc()
        LATENCY.labels(endpoint).observe(time.perf_counter() - started)

    def _allowed(self, host: bytes) -> bool:
        """Whether a Host header names this service, whatever its port."""
        name = re.sub(r":\d*$", "", host.decode("ascii", "replace").lower()).strip("[]")
        return name in self.hosts or "*" in self.hosts

    def _require_form(self, scope: Scope) -> None:
        """Refuse what is too long or asks for another host, before anything is read."""
        settings = self.settings
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if target > settings.most_target_bytes:
            # 422 and not 414, because a parameter is to blame and can be named.
            longest = max(scope["query_string"].split(b"&"), key=len).partition(b"=")[0][:40].decode("ascii", "replace")
            text = f"path and query have {target} bytes; at most {settings.most_target_bytes} are read"
            raise Problem(422, "too-long", text, longest or None)
        size, body, hosts = 0, b"0", []
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"content-length":
                body = value
            elif name == b"host":
                hosts.append(value)
        if len(hosts) != 1 and not (scope.get("http_version") == "1.0" and not hosts):
            raise Problem(400, "bad-host", f"a request has one Host header, not {len(hosts)}", "Host")
        if hosts and not self._allowed(hosts[0]):
            shown = hosts[0][:60].decode("ascii", "replace")
            text = f"this service does not answer to {shown!r}; its setting allowed_hosts lists the names it has"
            raise Problem(421, "unknown-host", text, "Host")
        if size > settings.most_header_bytes:
            raise Problem(431, "too-long", f"the headers have {size} bytes; at most {settings.most_header_bytes}")
        most = settings.most_event_bytes if scope["path"] == "/events" else MOST_BODY_BYTES
        if not body.isdigit() or int(body[:19]) > most:
            raise too_large(most)


def too_large(most: int) -> Problem:
    """Refuse a body by its size."""
    return Problem(413, "too-long", f"a body of more than {most} bytes; send less at a time", "body")


async def send_problem(problem: Problem, send: Send) -> None:
    """Send problem details as the whole response."""
    REFUSED.labels(problem.kind).inc()
    body = problem.encoded()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
