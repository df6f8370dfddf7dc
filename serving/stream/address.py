"""What `marquee stream` is told: an address like kafka://host:port/topic, and a file of properties for the client.

Belongs here: reading them, and what may not be set. Does not belong here: connecting (`serving.stream.topic`).
"""

import re
from pathlib import Path
from typing import NamedTuple

from recommender.errors import UsageError

_URL = re.compile(r"kafka://([\w.\[\]:,-]+)/([A-Za-z0-9._-]{1,249})")

RULED = frozenset(
    {
        "bootstrap.servers", "metadata.broker.list", "group.id", "enable.auto.commit", "enable.auto.offset.store",
        "auto.offset.reset", "enable.partition.eof",
    }
)  # fmt: skip
"""Properties that the stream sets itself: offsets are the journal's."""


class StreamAddressError(UsageError):
    """An address or a file of properties cannot be used; the message says what is wrong."""


class Address(NamedTuple):
    """Where events come from."""

    brokers: str
    topic: str


def read_address(url: str) -> Address:
    """Take an address apart.

    Raises
    ------
    StreamAddressError
        If it has another form. A password in it is not repeated.
    """
    found = _URL.fullmatch(url)
    if "@" in url:
        raise StreamAddressError("credentials do not belong into the address; put sasl.* properties into --config FILE")
    if not found:
        raise StreamAddressError(
            f"{url[:100]!r} is not like kafka://host:port/topic or kafka://one:9092,two:9092/topic"
        )
    return Address(found[1], found[2])


def read_listen(text: str) -> tuple[str, int]:
    """Host and port that metrics are shown at.

    Raises
    ------
    StreamAddressError
        If they have another form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise StreamAddressError(f"--metrics {text[:60]!r} is not like 127.0.0.1:9105")
    return host.strip("[]"), int(port)


def read_properties(path: Path | None) -> dict[str, str]:
    """Properties of the client (librdkafka's names), one ``name=value`` per line; lines with # are comments.

    Raises
    ------
    StreamAddressError
        Naming the line, never a value.
    """
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StreamAddressError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from None
    found = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise StreamAddressError(f"{path}, line {number}: not name=value")
        if name in RULED:
            raise StreamAddressError(f"{path}, line {number}: {name} cannot be set, the stream rules it")
        found[name] = value
    return found
