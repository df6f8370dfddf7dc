"""Addresses of targets: their kind, the secrets that are filled in, and how they are shown.

Belongs here: text. Does not belong here: connecting.

An address may name secrets instead of containing them: ``${NAME}`` is the environment variable, ``${file:/path}`` the
content of a file. They are filled in when an export runs; until then nobody has the secret. An address is shown
without its password, and so is everything a server says.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from recommender.errors import MarqueeError, UsageError

KINDS = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "s3": "parquet",
    "gs": "parquet",
    "az": "parquet",
    "file": "parquet",
}
"""Kind of target by the scheme of its address; what has no scheme is a folder."""

PLACEHOLDER = re.compile(r"\$\{(file:)?([^}]+)\}")
PASSWORD_PARAMETER = re.compile(r"([?&](?:password|sslpassword)=)[^&]*", re.IGNORECASE)
HIDDEN = "***"


class TargetError(UsageError):
    """The address of a target cannot be; the message says what is wrong with it, without its password."""


class ExportError(MarqueeError):
    """An export did not succeed; the message names target, release and table, and what readers have now."""


@dataclass(frozen=True)
class Address:
    """Where a target is.

    Attributes
    ----------
    text : str
        As it was written, placeholders included.
    """

    text: str

    @property
    def scheme(self) -> str:
        """What the address begins with; empty for a folder."""
        match = re.match(r"([a-z][a-z0-9+.]*):", self.text, re.IGNORECASE)
        return match[1].lower() if match else ""

    @property
    def kind(self) -> str:
        """Kind of target: postgresql, redis or parquet.

        Raises
        ------
        TargetError
        """
        if not self.scheme:
            return "parquet"
        if self.scheme not in KINDS:
            raise TargetError(f"{self.shown}: no target has addresses like this; known are a folder, {_known()}")
        return KINDS[self.scheme]

    @property
    def shown(self) -> str:
        """The address without a password, for people, logs and records."""
        text = PASSWORD_PARAMETER.sub(rf"\g<1>{HIDDEN}", self.text)
        head, separator, rest = text.partition("://")
        if not separator:
            return text
        account, at, place = rest.rpartition("@")
        user, colon, password = account.partition(":")
        hidden = HIDDEN if password and not PLACEHOLDER.fullmatch(password) else password
        return f"{head}://{user}{colon}{hidden}{at}{place}"

    @property
    def names_password(self) -> bool:
        """Whether a password stands in the address itself, where everybody on the machine can read it."""
        return self.shown != self.text

    def resolved(self) -> str:
        """The address with its placeholders filled in, for connecting.

        Raises
        ------
        TargetError
            If a variable or file that is named is not there.
        """
        whole = PLACEHOLDER.fullmatch(self.text)
        if whole:
            return self._secret(whole)
        return PLACEHOLDER.sub(lambda match: quote(self._secret(match), safe=""), self.text)

    def _secret(self, match: re.Match[str]) -> str:
        if match[1]:
            try:
                return Path(match[2]).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise TargetError(f"{self.shown}: {match[2]} cannot be read: {error.strerror}") from None
        if match[2] not in os.environ:
            raise TargetError(f"{self.shown}: the environment variable {match[2]} is not set")
        return os.environ[match[2]]

    def without_secrets(self, said: object) -> str:
        """What a server or driver said, on one line, without the password of this address."""
        text = " ".join(str(said).split())
        resolved = self.resolved()
        for secret in (resolved, *_passwords(resolved)):
            for form in (secret, unquote(secret)):
                text = text.replace(form, HIDDEN) if len(form) > 2 else text
        return text


def _passwords(text: str) -> list[str]:
    """Passwords in an address: of the account, and among the parameters."""
    account = text.partition("://")[2].rpartition("@")[0]
    return [account.partition(":")[2], *re.findall(r"[?&](?:password|sslpassword)=([^&]*)", text, re.IGNORECASE)]


def _known() -> str:
    return ", ".join(f"{scheme}://" for scheme in KINDS)
