"""Compressed sparse rows: some rows of them, and the same entries by column.

Belongs here: kernels on (indptr, entries), whatever the entries are. Does not belong here: what rows and entries mean.
Row r has the entries ``entries[indptr[r]:indptr[r + 1]]``; negative entries are skipped by both.
"""

import numpy as np

from recommender.kernels.jit import kernel


@kernel
def picked(indptr, entries, rows):  # type: ignore[no-untyped-def]
    """Copy some rows.

    Parameters
    ----------
    indptr : int64 array
    entries : int32 array
    rows : integer array, shape (n,)

    Returns
    -------
    int64 array, shape (n + 1,), and int32 array
        indptr and entries of the rows, in the order of `rows`.
    """
    total = 0
    for row in rows:
        total += indptr[row + 1] - indptr[row]
    new_indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    new_entries = np.empty(total, dtype=np.int32)
    filled = 0
    for n in range(len(rows)):
        for k in range(indptr[rows[n]], indptr[rows[n] + 1]):
            if entries[k] >= 0:
                new_entries[filled] = entries[k]
                filled += 1
        new_indptr[n + 1] = filled
    return new_indptr, new_entries[:filled]


@kernel
def transposed(indptr, entries, columns):  # type: ignore[no-untyped-def]
    """List the rows that have each entry.

    Parameters
    ----------
    indptr : int64 array, shape (rows + 1,)
    entries : int32 array
        Below `columns`.
    columns : int

    Returns
    -------
    int64 array, shape (columns + 1,), and int32 array
        indptr and, per column, its rows, ascending.
    """
    new_indptr = np.zeros(columns + 1, dtype=np.int64)
    for k in range(indptr[0], indptr[-1]):
        if entries[k] >= 0:
            new_indptr[entries[k] + 1] += 1
    new_indptr = np.cumsum(new_indptr)
    rows = np.empty(new_indptr[columns], dtype=np.int32)
    filled = new_indptr[:-1].copy()
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            if entries[k] >= 0:
                rows[filled[entries[k]]] = row
                filled[entries[k]] += 1
    return new_indptr, rows
