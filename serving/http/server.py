"""Processes and sockets: runs the application on an address, in one process or several.

Belongs here: uvicorn's configuration, logging, and what worker processes inherit. Does not belong here: requests.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
from typing import Any

import uvicorn

from serving.http.rate_limit import is_loopback
from serving.metrics import MULTIPROCESS_VARIABLE
from serving.settings import SETTINGS_VARIABLE, ServingSettings, settings_from_environment
from warehouse.home import Home
from warehouse.logs import as_json, say

_WORKER_VARIABLE = "MARQUEE_SERVING_WORKER"


def _logging() -> dict[str, Any]:
    """Configuration of the log, in the form that MARQUEE_LOG asks for."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"},
            "json": {"()": "warehouse.logs.JsonLines"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json" if as_json() else "plain"}},
        "loggers": {
            "marquee": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }


def serve(
    home: Home,
    host: str = "127.0.0.1",
    port: int = 5000,
    workers: int = 1,
    settings: ServingSettings | None = None,
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM); requests in flight are answered first.

    Parameters
    ----------
    home : Home
        Only what is published in it is opened, read-only; the request log is written to its requests folder.
    host : str
        Address to bind to. Anything but loopback opens the service to others.
    port : int
    workers : int
        Processes. They map the same files, so the model is in memory once.
    settings : ServingSettings, optional
        Default: those of the environment variable MARQUEE_SERVING_SETTINGS (JSON), else the defaults.
    """
    chosen = settings or settings_from_environment()
    os.environ[SETTINGS_VARIABLE] = chosen.model_dump_json()
    os.environ[_WORKER_VARIABLE] = json.dumps({"home": str(home.root), "workers": workers})
    if not is_loopback(host if host != "localhost" else "127.0.0.1"):
        say(f"marquee: {host} is reachable from other machines; there is no authentication", logging.WARNING)
    say(f"marquee: sign-up page and service at http://{host}:{port}/")
    metrics = tempfile.mkdtemp(prefix="marquee-metrics-") if workers > 1 else None
    if metrics:
        os.environ[MULTIPROCESS_VARIABLE] = metrics
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # workers must not fight for each other's cores
    try:
        uvicorn.run(
            "serving.http.server:worker_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            server_header=False,
            log_config=_logging(),
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            backlog=2048,
        )
    finally:
        if metrics:
            shutil.rmtree(metrics, ignore_errors=True)


def worker_app() -> Any:
    """Make the application of one worker process, from what `serve` left in the environment."""
    from pathlib import Path

    from serving.http.app import create_app

    sys.setswitchinterval(0.001)  # a thread that computes gives way to the event loop sooner
    inherited = json.loads(os.environ[_WORKER_VARIABLE])
    logging.getLogger("marquee.serving").setLevel(logging.INFO)
    return create_app(Home(Path(inherited["home"])), settings_from_environment(), inherited["workers"])
