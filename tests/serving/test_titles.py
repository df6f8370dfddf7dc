"""Title search finds what people type."""

import pytest

from serving.search.titles import TitleIndex, index_titles, normal_form, title_form

TITLES = [
    "Matrix, The (1999)",
    "Star Wars: Episode IV - A New Hope (1977)",
    "Godfather, The (1972)",
    "Schindler's List (1993)",
    "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)",
    "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
    "2001: A Space Odyssey (1968)",
    "Spider-Man (2002)",
    "WALL·E (2008)",
    "M*A*S*H (a.k.a. MASH) (1970)",
    "Matrix Reloaded, The (2003)",
    "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
    "Blade Runner 2049 (2017)",
    "Blade Runner (1982)",
    "M (1931)",
    "Walled In (2009)",
    "Œuvre étrange (1965)",
    "Сталкер (1979)",
    "Untitled",
]


@pytest.fixture(scope="module")
def index() -> TitleIndex:
    years = [int(title[-5:-1]) if title.endswith(")") else None for title in TITLES]
    return index_titles(TITLES, years)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("the matrix", "Matrix, The (1999)"),
        ("Matrix, The", "Matrix, The (1999)"),
        ("matrix the", "Matrix, The (1999)"),
        ("MATRÌX", "Matrix, The (1999)"),
        ("matirx", "Matrix, The (1999)"),
        ("matrx", "Matrix, The (1999)"),
        ("matr", "Matrix, The (1999)"),
        ("matrix 2003", "Matrix Reloaded, The (2003)"),
        ("Matrix, The (1999)", "Matrix, The (1999)"),
        ("reloaded", "Matrix Reloaded, The (2003)"),
        ("starwars", "Star Wars: Episode IV - A New Hope (1977)"),
        ("new hope", "Star Wars: Episode IV - A New Hope (1977)"),
        ("godfater", "Godfather, The (1972)"),
        ("schindlers list", "Schindler's List (1993)"),
        ("schindler's lsit", "Schindler's List (1993)"),
        ("leon", "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)"),
        ("amélie", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("le fabuleux destin", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("2001", "2001: A Space Odyssey (1968)"),
        ("1972", "Godfather, The (1972)"),
        ("spiderman", "Spider-Man (2002)"),
        ("spider man", "Spider-Man (2002)"),
        ("wall-e", "WALL·E (2008)"),
        ("walle", "WALL·E (2008)"),
        ("mash", "M*A*S*H (a.k.a. MASH) (1970)"),
        ("cite des enfants", "City of Lost Children, The (Cité des enfants perdus, La) (1995)"),
        ("blade runer", "Blade Runner (1982)"),
        ("blade runner 2049", "Blade Runner 2049 (2017)"),
        ("m", "M (1931)"),
        ("oeuvre etrange", "Œuvre étrange (1965)"),
        ("сталкер", "Сталкер (1979)"),
        ("untitled", "Untitled"),
    ],
)
def test_the_right_title_comes_first(index: TitleIndex, question: str, title: str) -> None:
    found = index.search(question, 5)
    assert found
    assert TITLES[found[0]] == title


@pytest.mark.parametrize("question", ["", "  ", "?!", "zzzqqq", "matrix zzzqqq"])
def test_nothing_is_found_where_nothing_fits(index: TitleIndex, question: str) -> None:
    assert index.search(question, 5) == []


def test_the_limit_holds(index: TitleIndex) -> None:
    assert len(index.search("a", 2)) <= 2
    assert index_titles([], []).search("anything", 5) == []


def test_forms() -> None:
    assert normal_form("  L'Été  À la Plage! ") == "lete a la plage"
    assert title_form("Matrix, The (1999)") == "the matrix"
    good = "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)"
    assert title_form(good) == "the good the bad and the ugly il buono il brutto il cattivo"
