"""Reading of request parameters: strict, and every refusal names the parameter.

Belongs here: the form of parameters, which no release changes. Does not belong here: whether a film is known
(`serving.answers`).
"""

import re
from collections.abc import Iterable, Sequence

from serving.http.problems import Problem, bad_parameter

MOST_FILMS = 100
MOST_ANSWERS = 100
LARGEST_ID = 2**31 - 1
LONGEST_QUERY = 100
ENGINES = ("exact", "annoy")

_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_CLIENT = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def shown(text: str) -> str:
    """Quote what somebody sent, cut to a length fit for a message."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def whole_number(parameter: str, text: str, lowest: int, highest: int) -> int:
    """Read a decimal number without sign, spaces or exponent.

    Raises
    ------
    Problem
        422 naming the parameter.
    """
    if not _DIGITS.fullmatch(text):
        raise bad_parameter(parameter, f"{shown(text)} is not a whole number from {lowest} to {highest}")
    number = int(text)
    if not lowest <= number <= highest:
        raise bad_parameter(parameter, f"{shown(text)} is not between {lowest} and {highest}")
    return number


def only_known(parameters: Iterable[str], known: Sequence[str]) -> None:
    """Refuse parameters nobody reads: a misspelt one would otherwise be ignored in silence.

    Raises
    ------
    Problem
    """
    for name in parameters:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise Problem(422, "unknown-parameter", f"there is no parameter {shown(name)}; known: {allowed}", name[:40])


def single(parameter: str, values: Sequence[str]) -> str | None:
    """Return the one value of a parameter, None if it was not given.

    Raises
    ------
    Problem
        If it was given more than once.
    """
    if len(values) > 1:
        raise bad_parameter(parameter, f"{parameter} was given {len(values)} times; give it once")
    return values[0] if values else None


def film_ids(parameter: str, values: Sequence[str]) -> list[int]:
    """Read a list of 1 to 100 distinct film ids, separated by commas, in repeated parameters, or both.

    Raises
    ------
    Problem
        422 naming the parameter.
    """
    texts = [text for value in values for text in value.split(",")] if values else []
    if not texts or texts == [""]:
        raise bad_parameter(parameter, f"{parameter} is missing: name 1 to {MOST_FILMS} films, as in ids=16,858,4262")
    return distinct_films(parameter, [whole_number(parameter, text, 1, LARGEST_ID) for text in texts])


def distinct_films(parameter: str, ids: Sequence[int]) -> list[int]:
    """Check the length of a list of ids, their range, and that none is there twice.

    Raises
    ------
    Problem
        422 naming the parameter.
    """
    if not 1 <= len(ids) <= MOST_FILMS:
        raise bad_parameter(parameter, f"{len(ids)} films were named; a list has 1 to {MOST_FILMS}")
    seen: set[int] = set()
    for number in ids:
        if not 1 <= number <= LARGEST_ID:
            raise bad_parameter(parameter, f"{number} is not between 1 and {LARGEST_ID}")
        if number in seen:
            raise bad_parameter(parameter, f"film {number} was named twice; name each film once")
        seen.add(number)
    return list(ids)


def answers_wanted(values: Sequence[str]) -> int:
    """Read `num`; 10 by default."""
    text = single("num", values)
    return 10 if text is None else whole_number("num", text, 1, MOST_ANSWERS)


def engine_wanted(values: Sequence[str]) -> str | None:
    """Read `engine`; None if the request leaves it to the service."""
    text = single("engine", values)
    if text is not None and text not in ENGINES:
        raise bad_parameter("engine", f"{shown(text)} is not an engine; choose one of: {', '.join(ENGINES)}")
    return text


def title_wanted(values: Sequence[str]) -> str:
    """Read `q`, the words of a title search."""
    text = single("q", values)
    if not text:
        raise bad_parameter("q", "q is missing: give a part of a title, as in q=matrix")
    if len(text) > LONGEST_QUERY:
        raise bad_parameter("q", f"q has {len(text)} characters; at most {LONGEST_QUERY} are searched for")
    return text


def client_key(values: Sequence[str]) -> str | None:
    """Read the header that names a client, so that it always meets the same variant."""
    text = single("Marquee-Client", values)
    if text is not None and not _CLIENT.fullmatch(text):
        raise bad_parameter("Marquee-Client", "a client key has 1 to 64 letters, digits, dots, hyphens or underscores")
    return text
