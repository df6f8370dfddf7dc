"""Title search: finds "Matrix, The (1999)" for "the matrix", "matrix 1999", "MATRÌX" and "matirx".

Belongs here: normal forms of titles and questions, the trigram index, and the order of what is found. Does not belong
here: films' other facts, HTTP.

Films are known by several names, so each name in brackets stands for itself, and Roman numerals equal digits. Between
titles that fit about equally well, likes decide.

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

POPULARITY_WEIGHT = 0.4
"""What the most liked film gains on one nobody likes; an exact title gains about as much on one that goes on."""

_ARTICLES = "the a an le la les l il lo gli i el los las der die das un une uno den det de"
ARTICLES = frozenset(_ARTICLES.split())
"""Words a question may add or leave out, at little cost."""

_YEAR_AT_END = re.compile(r"\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_ALSO_KNOWN_AS = re.compile(r"^a\.?k\.?a\.?\s+", re.IGNORECASE)
_ROMAN = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx"
_NUMERALS = {numeral: str(value) for value, numeral in enumerate(_ROMAN.split(), start=1)}
_NUMERAL_OF = {value: numeral for numeral, value in _NUMERALS.items()}
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


def with_digits(form: str) -> str:
    """Replace Roman numerals from I to XX by digits, so that "rocky ii" and "rocky 2" are the same."""
    return " ".join(_NUMERALS.get(word, word) for word in form.split())


def title_names(title: str) -> list[str]:
    """Normal forms of a title and of the others in brackets behind it, each also with its hyphenated words joined.

    The year at the end is left out, an article at the end put back in front: "M*A*S*H (a.k.a. MASH) (1970)" is
    "m a s h" and "mash".
    """
    names: dict[str, None] = {}
    for part in re.split(r"[()]", _YEAR_AT_END.sub("", title)):
        bare = _article_first(_ALSO_KNOWN_AS.sub("", part.strip()))
        forms = [normal_form(bare)]
        if not bare.replace(" ", "").isalnum():  # Spider-Man, WALL·E, M*A*S*H
            forms.append(" ".join(filter(None, ("".join(normal_form(word).split()) for word in bare.split()))))
        names |= dict.fromkeys(with_digits(form) for form in forms if form)
    return list(names)


def _article_first(name: str) -> str:
    head, comma, tail = name.rpartition(", ")
    return f"{tail} {head}" if comma and normal_form(tail) in ARTICLES else name


@dataclass(frozen=True)
class TitleIndex:
    """Postings of trigrams, and the normal forms they came from.

    Attributes
    ----------
    names : list of str
        Normal forms of each title, see `title_names`, a line each: of lists, the garbage collector would look at every
        one now and then, while no answer is given.
    years : list of (int or None)
    popularity : list of float
        Logarithm of each film's likes, scaled to [0, 1].
    codes : int64 array, shape (trigrams,)
        Distinct trigrams, ascending.
    starts : integer array, shape (trigrams + 1,)
        Titles with trigram t are ``rows[starts[t]:starts[t + 1]]``.
    rows : int32 array
    """

    names: list[str]
    years: list[int | None]
    popularity: list[float]
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
            score = _score(words, form, self.names[row].splitlines(), self.years[row], distances)
            if score > 0:
                scored.append((-round(score + POPULARITY_WEIGHT * self.popularity[row], 3), row))
        best = sorted(scored)[:limit]
        return [row for score, row in best if score <= best[0][0] * 0.5]

    def _candidates(self, form: str, words: Sequence[str]) -> list[int]:
        """Rows that share most trigrams with the question, those of the year's films if it is a bare year."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        padded = _padded(form).rstrip() if len(form) < 3 else _padded(form)
        digits = with_digits(form)
        codes = np.unique(_trigrams(padded + (_padded(digits) if digits != form else ""))[0])
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


def index_titles(titles: Sequence[str], years: Sequence[int | None], likes: Sequence[int]) -> TitleIndex:
    """Index titles, most liked first."""
    names = ["\n".join(title_names(title)) for title in titles]
    most = math.log1p(max(likes, default=0)) or 1.0
    popularity = [math.log1p(count) / most for count in likes]
    texts = [_padded(forms.replace("\n", " ")) for forms in names]
    codes, places = _trigrams("".join(texts))
    ends = np.cumsum([len(text) for text in texts]) if texts else np.zeros(0, dtype=np.int64)
    rows = np.searchsorted(ends, places, side="right")
    order = np.lexsort((rows, codes))
    codes, rows = codes[order], rows[order]
    fresh = np.ones(len(codes), dtype=bool)
    fresh[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
    codes, rows = codes[fresh], rows[fresh].astype(np.int32)
    distinct, starts = np.unique(codes, return_index=True)
    return TitleIndex(names, list(years), popularity, distinct, np.append(starts, len(codes)), rows)


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
    words: Sequence[str], form: str, names: Sequence[str], year: int | None, distances: dict[tuple[str, str], float]
) -> float:
    """How well a title answers a question: 0 if a word of the question has no counterpart, else above 0."""
    title_words = list(dict.fromkeys(word for name in names for word in name.split()))
    total, weights, missing = 0.0, 0.0, 0
    for word in words:
        weight = 0.1 if word in ARTICLES else 1.0
        match = 1.0 if _is_year(word) and year == int(word) else _best_match(word, title_words, distances)
        missing += match == 0.0 and weight == 1.0
        total += weight * match
        weights += weight
    together = form.replace(" ", "")
    squeezed = len(form) > 3 and any(name.replace(" ", "").startswith(together) for name in names)
    if missing > (len(words) > 3) and not squeezed:
        return 0.0
    asked = [with_digits(word) for word in words if not (_is_year(word) and year == int(word))]
    return max(total / weights, 0.8 if squeezed else 0.0) + max(_closeness(asked, form, name) for name in names)


def _closeness(asked: Sequence[str], form: str, name: str) -> float:
    """How closely the words asked for are one name of a film: 0.5 exactly, less if it goes on."""
    wanted = " ".join(word for word in asked if word not in ARTICLES)
    content = " ".join(word for word in name.split() if word not in ARTICLES)
    if content == wanted or name in (form, " ".join(asked)):
        return 0.5
    share = 0.1 * len(wanted.split()) / max(1, len(content.split()))
    if wanted and f"{content} ".startswith(f"{wanted} "):
        return share + 0.25
    if wanted and (content.startswith(wanted) or name.startswith(form)):
        return share + 0.1
    return min(share, 0.1)


def _best_match(word: str, title_words: Sequence[str], distances: dict[tuple[str, str], float]) -> float:
    """How well the best word of a title fits one of the question: 1 equal, 0.9 begins with it, less if misspelt."""
    best, numeral = 0.0, _NUMERALS.get(word)
    for candidate in title_words:
        if candidate in (word, numeral):
            return 1.0
        if candidate.startswith(word) or _NUMERAL_OF.get(candidate, "").startswith(word):
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
