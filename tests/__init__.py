"""What holds in every process that runs tests: signals as at a terminal, one thread for BLAS, folders in memory."""

import os
import shutil
import signal
from pathlib import Path

# Started in the background by a script, SIGINT is ignored; Dagster would copy that to SIGTERM, and nothing would end.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
# Before numpy is loaded: threads of BLAS wait by spinning, so that two need three times the CPU of one.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
# Thousands of times a test waits for the disk to confirm what it wrote: every event of Dagster, every renamed file.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 3_000_000_000:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
