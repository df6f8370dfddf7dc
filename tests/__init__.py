"""What holds in every process that runs tests: signals as at a terminal, and one thread for BLAS."""

import os
import signal

# Started in the background by a script, SIGINT is ignored; Dagster would copy that to SIGTERM, and nothing would end.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
# Before numpy is loaded: threads of BLAS wait by spinning, so that two need three times the CPU of one.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
