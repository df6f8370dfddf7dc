"""Errors that several parts of the warehouse raise.

Belongs here: the exceptions. Raising them is the business of downloads, sources and imports, and of whatever needs an
optional package.
"""

from recommender.errors import MarqueeError, UsageError


class MissingExtraError(UsageError):
    """A package is not installed; the message says which extra brings it."""


class SourceError(MarqueeError):
    """A source cannot be used: the message names the file or address and what to do next, on one line."""
