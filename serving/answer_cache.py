"""Answers given before, ready to send: one bounded cache for each release.

Belongs here: the cache and what an entry remembers. Does not belong here: when to use it. Answers of a release never
change, so entries never go stale; the cache goes with its release.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class CachedAnswer:
    """An answer as bytes, with what the request log wants to know of it.

    Attributes
    ----------
    body : bytes
        JSON.
    known, unknown, recommended : list of int
        Film ids.
    """

    body: bytes
    known: list[int]
    unknown: list[int]
    recommended: list[int]


class AnswerCache:
    """Keeps the answers used last. For one thread.

    Parameters
    ----------
    size : int
        Answers kept at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._answers: OrderedDict[tuple[object, ...], CachedAnswer] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> CachedAnswer | None:
        """Find an answer."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: tuple[object, ...], answer: CachedAnswer) -> None:
        """Keep an answer, in place of the one unused for longest if need be."""
        self._answers[key] = answer
        if len(self._answers) > self.size:
            self._answers.popitem(last=False)
