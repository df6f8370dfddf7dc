"""How kernels are compiled, decided once for the package.

Belongs here: the compiler options every kernel shares, and the names under which machine code is kept on disk.
Does not belong here: any kernel, threads (`threads`).

Numba compiles a kernel anew when the kernel's own file has changed. Kernels call kernels of other modules and use their
constants, which numba does not look at: so the name of the kept file contains a hash of those modules.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

PACKAGE = __name__.partition(".")[0]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of plain loops on first use, without the interpreter lock.

    The machine code is kept on disk. Where no cache folder is writable, every process compiles anew.
    """
    name, code = function.__qualname__, code_hash(function.__module__)
    function.__qualname__ = f"{name}-{code}"  # part of the name of the kept file
    try:
        compiled = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # numba: "no locator available": neither __pycache__ nor the user's cache folder is writable
        return numba.njit(function, nogil=True, error_model="numpy")
    _remove_stale(Path(str(compiled.stats.cache_path)), Path(function.__code__.co_filename).stem, code)
    return compiled


@functools.cache
def code_hash(module: str) -> str:
    """Hash the source of a module and of all modules whose code its kernels are compiled from."""
    modules = {module}
    waiting = [module]
    while waiting:
        found = _used_by_kernels(waiting.pop()) - modules
        modules |= found
        waiting += found
    return hashlib.sha256(b"\0".join(_source(name) for name in sorted(modules))).hexdigest()[:8]


def _used_by_kernels(module: str) -> set[str]:
    """Modules of this package from which a module's kernels take a name."""
    tree = ast.parse(_source(module))
    kernels = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == kernel.__name__ for mark in node.decorator_list)
    ]
    names = {node.id for function in kernels for node in ast.walk(function) if isinstance(node, ast.Name)}
    return {
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith(f"{PACKAGE}.")
        and node.module != __name__
        and any((alias.asname or alias.name) in names - {kernel.__name__} for alias in node.names)
    }


def _source(module: str) -> bytes:
    path = sys.modules[module].__file__
    assert path is not None
    return Path(path).read_bytes()


@functools.cache
def _remove_stale(folder: Path, stem: str, code: str) -> None:
    """Delete what is kept of a module's kernels under other hashes; once per module and process."""
    for path in folder.glob(f"{stem}.*.nb[ic]"):
        if f"-{code}-" not in path.name:
            path.unlink(missing_ok=True)
