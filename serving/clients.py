"""Clients in the request log: told apart, but not known.

Belongs here: the hash that stands for a client's key, and the secret it is salted with. Without the secret nobody can
find out which key a hash is of, nor compare the logs of two homes.
"""

import hmac
import os
import secrets
from functools import lru_cache
from pathlib import Path

from warehouse.files import TEMPORARY, flush_to_disk
from warehouse.home import Home


class ClientNames:
    """Stands hashes for keys of clients.

    Raises
    ------
    OSError
        If the home has no secret and cannot be given one.
    """

    def __init__(self, home: Home) -> None:
        self._secret = _secret(home.client_secret)
        self.name = lru_cache(maxsize=10_000)(self._name)

    def _name(self, key: str) -> str:
        """Hash of a key, 32 hex characters; the same for all processes of the home."""
        return hmac.digest(self._secret, key.encode(), "sha256")[:16].hex()


def _secret(path: Path) -> bytes:
    """The secret of a home, made once, readable by its account only."""
    if not path.exists():
        temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
            flush_to_disk(temporary)
            os.link(temporary, path)
        except FileExistsError:  # another process was faster: its secret counts
            pass
        finally:
            temporary.unlink()
    return path.read_bytes()
