"""What a process says while it works: lines for people on stderr or, with MARQUEE_LOG=json, one JSON object per line.

Belongs here: the choice and the form, shared by command line, runs and HTTP service. Does not belong here: what is
said, or the results of commands (stdout, `orchestration.cli`).
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from recommender.errors import UsageError

LOG_VARIABLE = "MARQUEE_LOG"


class LogFormError(UsageError):
    """MARQUEE_LOG names no form there is."""


def as_json() -> bool:
    """Whether logs are wanted as JSON.

    Raises
    ------
    LogFormError
        If the variable is neither ``json`` nor ``plain`` nor empty.
    """
    chosen = os.environ.get(LOG_VARIABLE, "")
    if chosen not in {"", "plain", "json"}:
        raise LogFormError(f"{LOG_VARIABLE} is {chosen!r}; it may be plain (the default) or json")
    return chosen == "json"


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time (UTC), level, logger, message, process, and whatever `fields` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **self.fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None}, default=str)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """More about a record; what is None is left out."""
        return {}


def say(text: str, level: int = logging.INFO) -> None:
    """Tell whoever watches this process; never on stdout, which belongs to results."""
    if as_json():
        record = logging.LogRecord("marquee", level, "", 0, text, None, None)
        text = JsonLines().format(record)
    print(text, file=sys.stderr, flush=True)
