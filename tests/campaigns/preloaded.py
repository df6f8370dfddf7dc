"""What every process of a campaign needs, loaded once: they are forked from a process that has imported this.

Belongs here: libraries and compiled loops, so that a run costs what it does and not what it loads. Does not belong
here: whatever starts a thread, as polars does when it is imported. A fork copies locks but not the threads that would
free them.
"""

from pathlib import Path

import dagster
import duckdb
import fastapi
import httpx
import typer

from recommender.warm_up import warm_up

warm_up()
loaded = (dagster, duckdb, fastapi, httpx, typer)
threads = Path("/proc/self/task")
if threads.is_dir() and len(list(threads.iterdir())) > 1:
    raise RuntimeError("something that is loaded before the fork has started a thread")
