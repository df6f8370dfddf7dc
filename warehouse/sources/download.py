"""Fetching one file over HTTP: resumed, verified, and there under its name complete or not at all.

Belongs here: transfer, retries, partial files and checksums. Does not belong here: what an address means
(`warehouse.sources.resolve`) or what is in the file (`warehouse.sources.archive`).

A download leaves `<name>` and `<name>.json` (what the server said of it) in its folder; one that was cut off leaves
`<name>.part` and `<name>.part.json`, and the next attempt asks for the rest, if the server still has that version.
"""

import email.utils
import fcntl
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
from tqdm import tqdm

from warehouse.errors import SourceError
from warehouse.files import appear, bytes_sha256, write_json
from warehouse.logs import as_json, say

ATTEMPTS = 6
"""In a row without a single new byte."""
LONGEST_PAUSE = 30.0
TIMEOUT = httpx.Timeout(30.0)
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class _Version:
    """What a server says of the file it has: enough to tell whether a part of it belongs to the rest."""

    url: str
    etag: str | None = None
    modified: str | None = None
    size: int | None = None

    @property
    def validator(self) -> str | None:
        """Value for If-Range: a strong ETag, else the date; None if a part cannot be trusted to fit."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Again(Exception):
    """The attempt failed in a way that may pass; the message says how, `wait` how long the server asked to wait."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class _Target:
    """One file to fetch and where its parts lie."""

    url: str
    path: Path

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def notes(self, path: Path) -> Path:
        return path.with_name(path.name + ".json")

    def version_of(self, path: Path) -> _Version | None:
        """What is known of a file or a part here, None if nothing reliable."""
        try:
            version = _Version(**json.loads(self.notes(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if path.exists() and version.url == self.url else None

    def forget_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes(self.part).unlink(missing_ok=True)


def file_name(url: str) -> str:
    """Name under which a download is kept: the address' last part, and a hash since others may end in the same."""
    last = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".").removesuffix(".zip")[:80] or "download"
    return f"{stem}-{bytes_sha256(url.encode())[:8]}.zip"


def checksum_url(url: str) -> str:
    """Where GroupLens publishes the MD5 of a file: the same address with .md5 behind the path."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path + ".md5"))


@contextmanager
def _only_download(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(progress: bool, text: str) -> None:
    if progress:
        say(text)


def _version(url: str, response: httpx.Response, size: int | None) -> _Version:
    return _Version(url, response.headers.get("etag"), response.headers.get("last-modified"), size)


def _wait_of(response: httpx.Response) -> float:
    """Seconds the server asks to wait, in either form of Retry-After."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _headers(target: _Target) -> tuple[dict[str, str], int]:
    """Headers of the next request, and how many bytes are here already."""
    # Ranges count bytes of the file, so the transfer must not be compressed.
    headers = {"Accept-Encoding": "identity"}
    part = target.version_of(target.part)
    if part is not None and part.validator and (have := target.part.stat().st_size):
        return headers | {"Range": f"bytes={have}-", "If-Range": part.validator}, have
    whole = target.version_of(target.path)
    if whole is not None:
        if whole.etag:
            headers["If-None-Match"] = whole.etag
        elif whole.modified:
            headers["If-Modified-Since"] = whole.modified
    return headers, 0


def _transfer(client: httpx.Client, target: _Target, progress: bool) -> bool:
    """One attempt. True if there is a new complete part, False if the file here is still the server's.

    Raises
    ------
    _Again
        If another attempt may help.
    SourceError
        If not.
    """
    headers, have = _headers(target)
    try:
        with client.stream("GET", target.url, headers=headers) as response:
            if response.status_code == 304 and not have:
                return False
            start = _start_of(target, response, have)
            rest = _number(response.headers.get("content-length"))
            size = None if rest is None else start + rest
            if start == 0:
                target.forget_part()
                write_json(target.notes(target.part), asdict(_version(target.url, response, size)))
            _receive(response, target, start, size, progress)
    except httpx.TransportError as error:
        raise _Again(str(error) or type(error).__name__) from None
    except (httpx.TooManyRedirects, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise SourceError(f"{target.url}: {error}; check the address") from None
    return True


def _start_of(target: _Target, response: httpx.Response, have: int) -> int:
    """At which byte of the file the answer begins; raises if it is no part of the file."""
    status = response.status_code
    if status == 206 and have:
        found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("content-range", ""))
        if found and int(found[1]) == have:
            return have
    if status == 200:
        return 0
    if status in (206, 416):
        target.forget_part()
        raise _Again(f"the server's answer {status} does not continue the part that is here")
    if status in _PASSING:
        raise _Again(f"the server answers {status} {response.reason_phrase}", _wait_of(response))
    raise SourceError(f"{target.url}: the server answers {status} {response.reason_phrase}; check the address")


def _receive(response: httpx.Response, target: _Target, start: int, size: int | None, progress: bool) -> None:
    bar = tqdm(
        total=size,
        initial=start,
        unit="B",
        unit_scale=True,
        desc=target.path.name,
        file=sys.stderr,
        disable=not progress or as_json(),
    )
    with bar, target.part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        # No chunk size: blocks as they arrive, so that none waits in a buffer when the connection breaks.
        for block in response.iter_raw():
            file.write(block)
            bar.update(len(block))
        got = file.tell()
    if size is not None and got != size:
        raise _Again(f"the connection ended after {got:,} of {size:,} bytes")


def _persist(
    client: httpx.Client, target: _Target, progress: bool, pause: Callable[[float], None], attempts: int
) -> bool:
    """Attempts until one succeeds, or too many in a row brought nothing."""
    failures = 0
    while True:
        before = target.part.stat().st_size if target.part.exists() else 0
        try:
            return _transfer(client, target, progress)
        except _Again as error:
            grown = target.part.exists() and target.part.stat().st_size > before
            failures = 1 if grown else failures + 1
            if failures >= attempts:
                raise SourceError(
                    f"{target.url}: {error}; what was received is kept, run the same command again to go on"
                ) from None
            wait = min(max(2.0 ** (failures - 1), error.wait), LONGEST_PAUSE)
            _say(progress, f"{error}; trying again in {wait:.0f} s")
        pause(wait)


def _published_md5(client: httpx.Client, url: str, pause: Callable[[float], None], attempts: int) -> str | None:
    """MD5 the publisher states, None if there is none.

    Not being able to ask is an error, or a network that fails at the right moment would switch verification off.
    """
    for attempt in range(attempts):
        try:
            response = client.get(checksum_url(url))
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
        else:
            if response.status_code not in _PASSING:
                found = re.search(r"\b[0-9a-fA-F]{32}\b", response.text[:4096]) if response.is_success else None
                return found[0].lower() if found else None
            problem = f"the server answers {response.status_code}"
        if attempt + 1 < attempts:
            pause(min(2.0**attempt, LONGEST_PAUSE))
    raise SourceError(f"{checksum_url(url)}: {problem}; run the same command again to go on")


def download(
    url: str,
    folder: Path,
    *,
    progress: bool = True,
    pause: Callable[[float], None] = time.sleep,
    attempts: int = ATTEMPTS,
) -> Path:
    """Fetch a file, or make sure that the copy here is the server's.

    Parameters
    ----------
    url : str
        http or https.
    folder : Path
        Where downloads are kept; made if need be.
    progress : bool
        Whether to show progress on stderr.
    pause : callable
        Waits so many seconds between attempts.
    attempts : int
        How many in a row may bring nothing.

    Returns
    -------
    Path
        The complete file. Its MD5 was checked if the server has ``<address>.md5``, its length if the server told.

    Raises
    ------
    SourceError
        If it cannot be had.
    """
    target = _Target(url, folder / file_name(url))
    with _only_download(folder), httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
        if not _persist(client, target, progress, pause, attempts):
            _say(progress, f"{target.path.name} is up to date")
            return target.path
        _verify(target, _published_md5(client, url, pause, attempts), progress)
        # The file first: notes of a version that is not there yet would pass the old one off as the new.
        target.notes(target.path).unlink(missing_ok=True)
        appear(target.part, target.path)
        appear(target.notes(target.part), target.notes(target.path))
        return target.path


def _verify(target: _Target, published: str | None, progress: bool) -> None:
    if published is None:
        _say(progress, f"no checksum is published for {target.url}; its length was checked")
        return
    with target.part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != published:
        target.forget_part()
        raise SourceError(
            f"{target.url}: its MD5 is {found}, but {published} is published; what was received is discarded, try again"
        )
