"""What a command costs (time, memory), and what this machine can do at best.

Belongs here: measuring. Does not belong here: what is measured (`benchmarks.run`, `benchmarks.book`).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

MARQUEE = Path(sys.executable).parent / "marquee"


@dataclass(frozen=True)
class Cost:
    """What a process cost: wall and processor seconds, peak resident memory in megabytes."""

    wall: float
    cpu: float
    peak_megabytes: float


def run_command(arguments: Sequence[object]) -> tuple[str, Cost]:
    """Run a command to its end; return its stdout and its cost. A failing command is an error."""
    started = time.perf_counter()
    process = subprocess.Popen([str(item) for item in arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
    if process.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, arguments))} ended with {process.returncode}: {output.decode()[-2000:]}"
        )
    return output.decode(), cost


def marquee(home: Path, *arguments: object) -> tuple[dict[str, Any], Cost]:
    """Run the command line with --json; return its report and its cost."""
    output, cost = run_command([MARQUEE, "--home", home, *arguments, "--json"])
    return dict(json.loads(output)), cost


@dataclass(frozen=True)
class Machine:
    """Best rates of this machine, measured now.

    Attributes
    ----------
    cores : int
    gigaflops : float
        Single-precision matrix product, all cores.
    copy_gigabytes : float
        Memory copied per second, one core.
    write_gigabytes : float
        File written and flushed per second.
    hash_gigabytes : float
        SHA-256 per second, one core.
    """

    cores: int
    gigaflops: float
    copy_gigabytes: float
    write_gigabytes: float
    hash_gigabytes: float


def measure_machine() -> Machine:
    """Measure the rates that bound the stages; takes a few seconds."""
    import hashlib

    size = 3000
    a = np.random.default_rng(1).random((size, size), dtype=np.float32)
    product = _best(lambda: a @ a)
    block = np.ones(100_000_000, dtype=np.uint8)
    target = np.empty_like(block)
    copy = _best(lambda: np.copyto(target, block))
    digest = _best(lambda: hashlib.sha256(block.data).digest(), repeat=2)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "block"

        def write() -> None:
            with path.open("wb") as file:
                for _ in range(5):
                    file.write(block.data)
                file.flush()
                os.fsync(file.fileno())

        written = _best(write, repeat=2)
    return Machine(os.cpu_count() or 1, 2 * size**3 / product / 1e9, 0.1 / copy, 0.5 / written, 0.1 / digest)


def _best(action: Any, repeat: int = 3) -> float:
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
