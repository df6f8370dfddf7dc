"""The one error of the input side: what is wrong with a source, and what to do about it, in one line.

Belongs here: the exception, shared by downloads, sources and imports. Raising it is their business.
"""

from recommender.errors import MarqueeError


class SourceError(MarqueeError):
    """A source cannot be used: the message names the file or address and what to do next, on one line."""
