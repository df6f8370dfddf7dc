"""Title search: finds "Matrix, The (1999)" for "the matrix", "matrix 1999", "MATRÌX" and "matirx".

Belongs here: normal forms of titles and questions, the trigram index, and the order of what is found. Does not belong
here: films' other facts, HTTP.

Trigrams of words (as in PostgreSQL's pg_trgm) propose a few hundred titles out of tens of thousands; those are then
compared word by word, with an edit distance that forgives one slip in a short word and two in a long one.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA

CANDIDATES = 250
"""Titles compared word by word."""

_ARTICLES = "the a an le la les l il lo gli i el los las der die das un une uno den det de"
ARTICLES = frozenset(_ARTICLES.split())
"""Words a question may add or leave out, at little cost."""

_YEAR_AT_END = re.compile(r"\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_OTHER = re.compile(r"[\W_]+")
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "&": " and "}
    | dict.fromkeys("'’‘`´", None)
)


def normal_form(text: str) -> str:
    """Reduce a text to lower-case words without accents or punctuation, one space between them."""
    lowered = text.casefold().translate(_LETTERS)
    if not lowered.isascii():
        parts = unicodedata.normalize("NFKD", lowered)
        lowered = "".join(char for char in parts if not unicodedata.combining(char)).casefold().translate(_LETTERS)
    return _OTHER.sub(" ", lowered).strip()


def title_form(title: str) -> str:
    """Normal form of a title: without the year at its end, a trailing article put back in front."""
    parts = [part.strip() for part in re.split(r"[()]", _YEAR_AT_END.sub("", title))]  # other titles stand in brackets
    bare = " ".join(_article_first(part) for part in parts if part)
    words = normal_form(bare).split()
    odd = [word for word in bare.split() if not word.isalnum()]
    joined = ["".join(parts) for parts in map(_parts, odd) if len(parts) > 1]  # Spider-Man, WALL·E, M*A*S*H
    return " ".join([*words, *(word for word in joined if word not in words)])


def _article_first(name: str) -> str:
    head, comma, tail = name.rpartition(", ")
    return f"{tail} {head}" if comma and normal_form(tail) in ARTICLES else name


def _parts(word: str) -> list[str]:
    return normal_form(word).split()


@dataclass(frozen=True)
class TitleIndex:
    """Postings of trigrams, and the normal forms they came from.

    Attributes
    ----------
    forms : list of str
        Normal form of each title; the order of titles (most liked first) breaks ties.
    years : list of (int or None)
    codes : int64 array, shape (trigrams,)
        Distinct trigrams, ascending.
    starts : integer array, shape (trigrams + 1,)
        Titles with trigram t are ``rows[starts[t]:starts[t + 1]]``.
    rows : int32 array
    """

    forms: list[str]
    years: list[int | None]
    codes: NDArray[np.int64]
    starts: NDArray[np.integer]
    rows: NDArray[np.integer]

    def search(self, question: str, limit: int) -> list[int]:
        """Find titles.

        Parameters
        ----------
        question : str
            Words of a title in any order, the last perhaps unfinished; a year narrows the search.
        limit : int

        Returns
        -------
        list of int
            Rows, best first; of nearly equally good ones those liked most first.
        """
        form = normal_form(question)
        words = form.split()
        if not words:
            return []
        distances: dict[tuple[str, str], float] = {}
        scored = []
        for row in self._candidates(form, words):
            score = _score(words, form, self.forms[row], self.years[row], distances)
            if score > 0:
                liked = 0.15 * (1 - math.log1p(row) / math.log1p(len(self.forms)))
                scored.append((-round(score + liked, 3), row))
        best = sorted(scored)[:limit]
        return [row for score, row in best if score <= best[0][0] * 0.5]

    def _candidates(self, form: str, words: Sequence[str]) -> list[int]:
        """Rows that share most trigrams with the question, those of the year's films if it is a bare year."""
        counts = np.zeros(len(self.forms), dtype=np.int64)
        codes = np.unique(_trigrams(_padded(form).rstrip() if len(form) < 3 else _padded(form))[0])
        at = np.searchsorted(self.codes, codes)
        for place, code in zip(at.tolist(), codes.tolist(), strict=True):
            if place < len(self.codes) and self.codes[place] == code:
                counts[self.rows[self.starts[place] : self.starts[place + 1]]] += 2
        if len(words) == 1 and _is_year(words[0]):
            counts += 2 * np.fromiter((year == int(words[0]) for year in self.years), dtype=bool, count=len(counts))
        found = np.flatnonzero(counts)
        if len(found) > CANDIDATES:
            order = np.argsort(-counts[found], kind="stable")[:CANDIDATES]
            found = found[order]
        return [int(row) for row in found]


def index_titles(titles: Sequence[str], years: Sequence[int | None]) -> TitleIndex:
    """Index titles.

    Parameters
    ----------
    titles : sequence of str
        Most liked first.
    years : sequence of (int or None)

    Returns
    -------
    TitleIndex
    """
    forms = [title_form(title) for title in titles]
    texts = [_padded(form) for form in forms]
    codes, places = _trigrams("".join(texts))
    ends = np.cumsum([len(text) for text in texts]) if texts else np.zeros(0, dtype=np.int64)
    rows = np.searchsorted(ends, places, side="right")
    order = np.lexsort((rows, codes))
    codes, rows = codes[order], rows[order]
    fresh = np.ones(len(codes), dtype=bool)
    fresh[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
    codes, rows = codes[fresh], rows[fresh].astype(np.int32)
    distinct, starts = np.unique(codes, return_index=True)
    return TitleIndex(forms, list(years), distinct, np.append(starts, len(codes)), rows)


def _padded(form: str) -> str:
    """Two spaces before every word and one after the last, so that beginnings of words weigh more than their ends."""
    return "  " + form.replace(" ", "  ") + " "


def _trigrams(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of the trigrams of padded words and where they start; those that span two words are left out."""
    points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.int64)
    if len(points) < 3:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first, middle, last = points[:-2], points[1:-1], points[2:]
    space = ord(" ")
    kept = np.flatnonzero((middle != space) | ((first == space) & (last != space)))
    return (first[kept] << 42) | (middle[kept] << 21) | last[kept], kept


def _is_year(word: str) -> bool:
    return len(word) == 4 and word.isascii() and word.isdigit() and 1870 <= int(word) <= 2100


def _score(
    words: Sequence[str], form: str, title: str, year: int | None, distances: dict[tuple[str, str], float]
) -> float:
    """How well a title answers a question: 0 if a word of the question has no counterpart, else above 0."""
    title_words = title.split()
    total, weights, missing = 0.0, 0.0, 0
    for word in words:
        weight = 0.1 if word in ARTICLES else 1.0
        match = 1.0 if _is_year(word) and year == int(word) else _best_match(word, title_words, distances)
        missing += match == 0.0 and weight == 1.0
        total += weight * match
        weights += weight
    squeezed = title.replace(" ", "").startswith(form.replace(" ", "")) and len(form) > 3
    if missing > (len(words) > 3) and not squeezed:
        return 0.0
    score = max(total / weights, 0.8 if squeezed else 0.0)
    content = " ".join(word for word in title_words if word not in ARTICLES)
    asked = " ".join(word for word in words if word not in ARTICLES and not (_is_year(word) and year == int(word)))
    if content == asked or title == form:
        return score + 0.6
    score += 0.1 * len(asked.split()) / max(1, len(content.split()))
    if asked and f"{content} ".startswith(f"{asked} "):
        return score + 0.3
    if asked and (content.startswith(asked) or title.startswith(form)):
        return score + 0.1
    return score


def _best_match(word: str, title_words: Sequence[str], distances: dict[tuple[str, str], float]) -> float:
    """How well the best word of a title fits one of the question: 1 equal, 0.9 begins with it, less if misspelt."""
    best = 0.0
    for candidate in title_words:
        if candidate == word:
            return 1.0
        if candidate.startswith(word):
            best = max(best, 0.9)
        elif best < 0.7 and len(word) > 3:
            key = (word, candidate)
            if key not in distances:
                distances[key] = _similarity(word, candidate)
            best = max(best, distances[key])
    return best


def _similarity(word: str, candidate: str) -> float:
    """Similarity of words within the forgiven number of slips; the candidate may go on where the word ends."""
    most = 1 if len(word) < 7 else 2
    whole = OSA.distance(word, candidate, score_cutoff=most)
    begun = OSA.distance(word, candidate[: len(word)], score_cutoff=most) if len(candidate) > len(word) else most + 1
    slips = min(whole, begun)
    if slips > most or (slips > 0 and word[-2:].isdigit()):
        return 0.0
    return 0.75 - 0.15 * slips if whole <= begun else 0.7 - 0.15 * slips
