"""Responses that cost little on the line: validators (ETag), compression, HEAD; and the files of the page.

Belongs here: what HTTP says about representations, for all answers alike. Does not belong here: what is answered.
"""

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

from fastapi import Request, Response

SMALLEST = 1_400
"""Bytes worth compressing: less fits into one packet anyway."""


def accepts_gzip(header: str) -> bool:
    """Read Accept-Encoding: gzip by name, else ``*``, unless its quality is 0 (RFC 9110, 12.5.3)."""
    qualities = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        try:
            qualities[name.strip()] = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            qualities[name.strip()] = 0.0
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


@lru_cache(maxsize=64)
def _zipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def _same(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, by weak comparison."""
    return any(part.strip().removeprefix("W/") in ("*", tag.removeprefix("W/")) for part in header.split(","))


def respond(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Make a response with a validator: 304 if the client has it already, compressed if it likes and that is worth it.

    The tag is weak because it is that of the content, compressed or not.
    """
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {**headers, "ETag": tag}
    if _same(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers={**headers, "Vary": _vary(headers)})
    zipped = _zipped(body) if _worth(request, body) else None
    return _response(body, zipped, media_type, headers)


def respond_once(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Make a response that is never given again, so nobody can have it: without a validator, not kept by anybody."""
    zipped = gzip.compress(body, 1, mtime=0) if _worth(request, body) else None
    return _response(body, zipped, media_type, {**headers, "Cache-Control": "no-store"})


def _worth(request: Request, body: bytes) -> bool:
    return len(body) >= SMALLEST and accepts_gzip(request.headers.get("accept-encoding", ""))


def _vary(headers: dict[str, str]) -> str:
    return ", ".join(filter(None, [headers.get("Vary"), "Accept-Encoding"]))


def _response(body: bytes, zipped: bytes | None, media_type: str, headers: dict[str, str]) -> Response:
    headers = {**headers, "Vary": _vary(headers)}
    if zipped is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(body if zipped is None else zipped, headers=headers, media_type=media_type)


class PageFiles:
    """The page and its files in memory. Their address carries a version, so that browsers may keep them for ever.

    Attributes
    ----------
    index : bytes
        The page, which refers to its files by their versioned address.
    version : str
        Hash of all files.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        joined = b"\0".join(part for name, body in self._files.items() for part in (name.encode(), body))
        self.version = hashlib.sha256(joined).hexdigest()[:12]
        self.index = self._files["index.html"].replace(b"/static/", f"/static/{self.version}/".encode())

    def respond(self, request: Request, version: str | None, name: str) -> Response | None:
        """Serve a file; None if there is none of that name. Only the current version may be kept."""
        body = self._files.get(name)
        if body is None:
            return None
        keep = "public, max-age=31536000, immutable" if version == self.version else "no-cache"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return respond(request, body, kind, {"Cache-Control": keep})
