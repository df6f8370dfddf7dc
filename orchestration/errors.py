"""How an error is shown: one line for what a user can put right, a traceback for a bug.

Belongs here: telling the two apart, for errors that Dagster recorded and for those of a command, and what to do when
the machine cannot do it. Does not belong here: printing (`orchestration.cli`) or sending (`orchestration.alerts`).

Dagster keeps of an error its class name, text, stack and cause. Expected are `MarqueeError` and what is below it, and
errors of the machine: a full disk, a missing permission, a file that cannot be read.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from recommender.errors import MarqueeError

_FREE_SPACE = "free space on that disk (marquee retire --keep 3 deletes old releases), then try again"
_ALLOW = "let this account write there (marquee doctor names the folders), then try again"
_DAMAGED = "marquee doctor says which file is damaged, and marquee rebuild makes warehouse.duckdb again"
ADVICE = {
    os.strerror(errno.ENOSPC): _FREE_SPACE,
    os.strerror(errno.EDQUOT): _FREE_SPACE,
    "database or disk is full": _FREE_SPACE,
    os.strerror(errno.EROFS): "make that file system writable again, then try again",
    "readonly database": _ALLOW,
    "unable to open database file": _ALLOW,
    os.strerror(errno.EACCES): _ALLOW,
    os.strerror(errno.EPERM): _ALLOW,
    os.strerror(errno.ENOTDIR): "name a folder",
    os.strerror(errno.EIO): "look at the disk's health; marquee doctor names damaged files",
    "Corrupt database file": _DAMAGED,
    "Could not read enough bytes from file": _DAMAGED,
    "is not a valid DuckDB database file": _DAMAGED,
    "database has been invalidated": _DAMAGED,
    os.strerror(errno.EMFILE): "raise the limit of open files (ulimit -n), then try again",
}
"""What to do, by what the operating system, SQLite or DuckDB says; Python and DuckDB repeat the system's words."""


def machine_error(text: str, kind: type[BaseException] | str) -> str | None:
    """Word an error of the machine, with what to do; None if it is none.

    Parameters
    ----------
    text : str
        The error's own words.
    kind : class or str
        Its class, or the name of it. An input or output error of DuckDB is the machine's, whatever it says.
    """
    for words, advice in ADVICE.items():
        if words in text:
            return f"{text}; {advice}"
    name = kind if isinstance(kind, str) else kind.__name__
    return f"{text}; marquee doctor looks for what is damaged" if name == duckdb.IOException.__name__ else None


@dataclass(frozen=True)
class Reason:
    """Why a step or run failed.

    Attributes
    ----------
    text : str
        One line.
    traceback : str
        Of a bug; empty for an expected error.
    """

    text: str
    traceback: str = ""


def reason_of(error: Any) -> Reason:
    """Find the reason in an error that Dagster recorded.

    Parameters
    ----------
    error : dagster.SerializableErrorInfo or None
        With the chain of its causes. Dagster's own errors wrap ours.
    """
    chain = list(_chain(error))
    if not chain:
        return Reason("the step failed without an error message")
    expected = _expected_names()
    for link in chain:
        name, _, text = str(link.message).strip().partition(": ")
        if name in expected:
            return Reason(" ".join(text.split()))
        if name.endswith(".DagsterExecutionInterruptedError"):
            return Reason("interrupted by a signal; the next run does what is left")
    innermost = chain[-1]
    text = str(innermost.message).strip()
    name, _, rest = text.partition(": ")
    told = machine_error(" ".join(rest.split()), name.rpartition(".")[2])
    if told is not None:
        return Reason(told)
    return Reason(f"a bug: {text}", "Traceback (most recent call last):\n" + "".join(innermost.stack) + text)


def _chain(error: Any) -> Iterator[Any]:
    """The error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.cause


def _expected_names() -> set[str]:
    """Full names of `MarqueeError` and all errors below it that this process knows, as tracebacks write them."""
    found, new = set(), [MarqueeError]
    while new:
        cls = new.pop()
        found.add(f"{cls.__module__}.{cls.__qualname__}")
        new += cls.__subclasses__()
    return found
