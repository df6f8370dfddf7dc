"""A store by its address, and its errors in words: whatever reads or writes objects opens its store here.

Belongs here: the address, how long to wait and how often to try again, and what an error of the library means for
people. Does not belong here: which objects there are (`warehouse.store.layout`).

Endpoint and credentials come from the environment, as obstore reads them (`AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID`, ...).
They are never part of an address, because addresses are shown.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from recommender.errors import MarqueeError, UsageError
from warehouse.errors import MissingExtraError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

STORE_VARIABLE = "MARQUEE_STORE"

SCHEMES = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE", "file": ""}
"""Kinds of stores, and how the variables of each begin."""

CLIENT_OPTIONS = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "6h"}
"""A connection that stands still is given up, one that moves may take as long as a large file needs."""

INHERITED_OPTIONS = ("allow_http", "allow_invalid_certificates", "proxy_url", "proxy_excludes", *CLIENT_OPTIONS)
"""Options that the environment may set (`AWS_ALLOW_HTTP`); obstore forgets them once it is given any."""

PASSING = re.compile(r"Generic \S+ error: |Error performing | in [\d.]+[nµm]?s\b|, after \d+ retries.*?(?= - )")
"""What the library says that differs from try to try, or says nothing: an error that stays the same is told once."""

RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 3},
}


class StoreAddressError(UsageError):
    """An address is none of a store; the message says what one looks like."""


class StoreError(MarqueeError):
    """A store cannot be read or written; the message names it, and says what to do."""


class NoObjectError(StoreError):
    """An object is not there."""


def store_address(given: str | None = None) -> str:
    """The address given, else that of `MARQUEE_STORE`; empty if there is neither."""
    return given or os.environ.get(STORE_VARIABLE, "")


def check_address(url: str) -> str:
    """Return the kind of store (`s3`, `gs`, `az` or `file`) an address names.

    Raises
    ------
    StoreAddressError
        Without the address in the message where it may hold credentials.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        raise StoreAddressError("the address of a store must hold no credentials; set them in the environment")
    named = parts.path.strip("/") if parts.scheme == "file" else parts.netloc
    if parts.scheme not in SCHEMES or not named or (parts.scheme == "file" and parts.netloc):
        raise StoreAddressError(
            f"{url} is no store; name one as s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix or "
            "file:///folder"
        )
    return parts.scheme


def open_store(url: str, *, make_folder: bool = False) -> "ObjectStore":
    """Open a store; nothing is asked of it yet.

    Parameters
    ----------
    url : str
    make_folder : bool
        Whether the folder of a `file://` address is made.

    Raises
    ------
    StoreAddressError, MissingExtraError
    StoreError
        If a `file://` address names no folder.
    """
    scheme = check_address(url)
    try:
        from obstore.store import from_url
    except ImportError:
        raise MissingExtraError(f"{url} needs obstore; install it: pip install 'marquee[store]'") from None
    options: dict[str, Any] = {"mkdir": make_folder, "automatic_cleanup": True}
    if scheme != "file":
        names = {name: f"{SCHEMES[scheme]}_{name.upper()}" for name in INHERITED_OPTIONS}
        inherited = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
        options = {"client_options": {**CLIENT_OPTIONS, **inherited}, "retry_config": RETRIES}
    with store_errors(url, "opened"):
        return from_url(url, **options)


@contextmanager
def store_errors(url: str, done: str) -> Iterator[None]:
    """Word the library's errors in this block; `done` is what cannot be done, as in "written".

    Raises
    ------
    NoObjectError
        If an object is not there.
    StoreError
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, ValueError) as error:
        text, _, details = str(error).partition("\n\nDebug source")
        code = re.search(r"<Code>(\w+)</Code>\s*<Message>([^<]*)", text)
        told = f"{code[1]}, {code[2].rstrip('.')}" if code else " ".join(PASSING.sub(" ", text).split())
        if re.search("NoSuchBucket|ContainerNotFound", text):
            advice = "create it, or correct the address"
        elif re.search("PermissionDenied|Unauthenticated|Permission", type(error).__name__):
            advice = "check the credentials in the environment and what they allow"
        elif isinstance(error, FileNotFoundError):
            found = re.search(r"location (\S+) not found", text)
            raise NoObjectError(f"{url} cannot be {done}: {found[1] if found else 'an object'} is not there") from None
        elif "169.254.169.254" in text:
            advice = "there are no credentials in the environment"
        elif "BadScheme" in details:
            advice = "an endpoint without TLS needs AWS_ALLOW_HTTP=true"
        else:
            advice = "check the address, the endpoint in the environment and the network"
        raise StoreError(f"{url} cannot be {done}: {told}; {advice}") from None
