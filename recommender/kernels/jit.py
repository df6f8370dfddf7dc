"""How kernels are compiled and spread over threads, decided once for the package.

Belongs here: the compiler options every kernel shares, and the pool that runs kernels side by side.
Does not belong here: any kernel.

Machine code is kept on disk. Numba looks at a kernel's own file to see whether that is out of date, but kernels call
kernels of other modules: so the name under which it is kept contains a hash of all modules of the package.

Kernels release the interpreter lock and are spread over ordinary threads by `run_parallel`, instead of numba's own
parallel loops: those abort the process when two threads of a server enter them at once (workqueue layer), and
compile several times slower.
"""

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numba

Task = TypeVar("Task")
Result = TypeVar("Result")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on first use, without the interpreter lock, and keep the machine code on disk if possible.

    Parameters
    ----------
    function : callable
        Plain loops over arrays and numbers.

    Returns
    -------
    callable
        The compiled function. Where no cache folder is writable it is compiled anew in every process.
    """
    function.__qualname__ = f"{function.__qualname__}-{_code_hash()}"  # part of the name of the kept file
    try:
        return numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # numba: "no locator available": neither __pycache__ nor the user's cache folder is writable
        return numba.njit(function, nogil=True, error_model="numpy")


@functools.cache
def _code_hash() -> str:
    """Hash of the source of all modules that could define or call a kernel."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:8]


def thread_count(threads: int | None) -> int:
    """Resolve a number of threads: None means one per core this process may use.

    Parameters
    ----------
    threads : int or None

    Returns
    -------
    int

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
    """Cut 0..total into at most `parts` consecutive ranges of nearly equal length, none of them empty.

    Parameters
    ----------
    total, parts : int

    Returns
    -------
    list of (start, stop)
    """
    parts = max(1, min(parts, total))
    edges = [total * part // parts for part in range(parts + 1)]
    return [(low, high) for low, high in itertools.pairwise(edges) if low < high]
