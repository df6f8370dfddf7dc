"""Work spread over threads: how many there are, and ranges and tasks for them.

Belongs here: the pool that runs kernels side by side. Does not belong here: how kernels are compiled (`jit`).

Kernels release the interpreter lock, so ordinary threads run them side by side. Numba's own parallel loops are not
used: they abort the process when two threads of a server enter them at once (workqueue layer), and compile several
times slower.
"""

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def thread_count(threads: int | None = None) -> int:
    """Resolve a number of threads: None means one per core this process may use.

    Raises
    ------
    ValueError
        If `threads` is below one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return threads


def run_parallel(function: Callable[[Task], Result], tasks: Iterable[Task], threads: int | None = None) -> list[Result]:
    """Apply a function to tasks on several threads; the results come in the order of the tasks.

    Parameters
    ----------
    function : callable
        Should spend its time in kernels, which do not hold the interpreter lock.
    tasks : iterable
    threads : int, optional
        Default: one per core.

    Returns
    -------
    list
        One result per task. The first exception any of them raised is raised here.
    """
    todo = list(tasks)
    workers = min(thread_count(threads), len(todo))
    if workers <= 1:
        return [function(task) for task in todo]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(function, todo))


def even_ranges(total: int, parts: int) -> list[tuple[int, int]]:
    """Cut 0..total into at most `parts` consecutive (start, stop) of nearly equal length, none of them empty."""
    parts = max(1, min(parts, total))
    edges = [total * part // parts for part in range(parts + 1)]
    return [(low, high) for low, high in itertools.pairwise(edges) if low < high]
