"""Which films a question allows: masks over catalogue positions, made before a list is cut.

Belongs here: genres and years of a release's films as arrays. Does not belong here: the form of filters
(`serving.questions`), making lists (`serving.sources`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.releases.films import Films


@dataclass(frozen=True)
class FilmFacts:
    """What films are filtered by, in catalogue order.

    Attributes
    ----------
    genres : dict of str to (str, bool array, shape (films,))
        By name in lower case: the name as it is written, and the films of that genre.
    years : int16 array, shape (films,)
        0 for films without one.
    """

    genres: dict[str, tuple[str, NDArray[np.bool_]]]
    years: NDArray[np.int16]

    def allowed(
        self, genre: str | None, years: tuple[int, int] | None, excluded: Iterable[int]
    ) -> NDArray[np.bool_] | None:
        """Mask of the films that pass; None if there is no filter.

        Parameters
        ----------
        genre : str, optional
            A known one, in any case.
        years : (int, int), optional
            First and last.
        excluded : iterable of int
            Catalogue positions.
        """
        excluded = list(excluded)
        if genre is None and years is None and not excluded:
            return None
        mask = np.ones(len(self.years), dtype=bool) if genre is None else self.genres[genre.lower()][1].copy()
        if years is not None:
            mask &= (self.years >= years[0]) & (self.years <= years[1])
        mask[excluded] = False
        return mask


def film_facts(films: Films, positions: Mapping[int, int]) -> FilmFacts:
    """Arrange genres and years by catalogue position.

    Parameters
    ----------
    films : Films
    positions : mapping of int to int
        Catalogue position by movie_id.
    """
    years = np.zeros(len(positions), dtype=np.int16)
    found: dict[str, list[int]] = {}
    for movie, year, genres in zip(films.movie_ids, films.years, films.genres, strict=True):
        position = positions.get(movie)
        if position is None:
            continue
        years[position] = year or 0
        for genre in genres:
            found.setdefault(genre, []).append(position)
    masks = {}
    for genre, members in sorted(found.items()):
        mask = np.zeros(len(positions), dtype=bool)
        mask[members] = True
        masks[genre.lower()] = (genre, mask)
    return FilmFacts(masks, years)
