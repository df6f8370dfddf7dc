"""Processes and sockets: runs the application on an address, in one process or several.

Belongs here: uvicorn's configuration, logging, and what worker processes inherit. Does not belong here: requests.
"""

import json
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from recommender.errors import UsageError
from serving.access.rate_limit import is_loopback
from serving.metrics import MULTIPROCESS_VARIABLE
from serving.settings import SETTINGS_VARIABLE, ServingSettings, settings_from_environment
from warehouse.home import Home
from warehouse.keys.file import read_keys
from warehouse.logs import as_json, say

_WORKER_VARIABLE = "MARQUEE_SERVING_WORKER"


def _logging() -> dict[str, Any]:
    """Configuration of the log, in the form that MARQUEE_LOG asks for."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {
                "()": "serving.http.server.UtcLines",
                "format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
            },
            "json": {"()": "warehouse.logs.JsonLines"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json" if as_json() else "plain"}},
        "loggers": {
            "marquee": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is loaded or announced.

    Raises
    ------
    UsageError
        If the host is unknown or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(2048)
    except OSError as error:
        text = f"cannot listen on {host}, port {port}: {error.strerror or error}; choose others with --host and --port"
        raise UsageError(text) from None
    found.set_inheritable(True)
    return found


def serve(
    home: Home,
    host: str = "127.0.0.1",
    port: int = 5000,
    workers: int = 1,
    settings: ServingSettings | None = None,
    own: Home | None = None,
    insecure: bool = False,
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM); requests in flight are answered first.

    Parameters
    ----------
    home : Home
        Only what is published in it is opened, read-only; the request log is written to its requests folder.
    host : str
        Address to bind to. Anything but loopback opens the service to others.
    port : int
        0 takes a free one.
    workers : int
        Processes. They map the same files, so the model is in memory once.
    settings : ServingSettings, optional
        Default: those of the environment variable MARQUEE_SERVING_SETTINGS (JSON), else the defaults.
    own : Home, optional
        Home of keys and events; another one than `home` where that is a store's cache.
    insecure : bool
        Whether an address that others reach may be served without keys.

    Raises
    ------
    UsageError
        If a setting is wrong, the address cannot be had, or keys are required and there are none.
    """
    chosen, own = settings or settings_from_environment(), own or home
    listening = listen(host, port)
    try:
        required = _keys_required(own, chosen, listening.getsockname()[0], insecure)
    except UsageError:
        listening.close()
        raise
    chosen = chosen.model_copy(update={"allowed_hosts": (*chosen.allowed_hosts, host), "require_keys": required})
    os.environ[SETTINGS_VARIABLE] = chosen.model_dump_json()
    os.environ[_WORKER_VARIABLE] = json.dumps({"home": str(home.root), "own": str(own.root), "workers": workers})
    shown = f"[{host}]" if ":" in host else host
    say(f"marquee: sign-up page and service at http://{shown}:{listening.getsockname()[1]}/")
    metrics = tempfile.mkdtemp(prefix="marquee-metrics-") if workers > 1 else None
    if metrics:
        os.environ[MULTIPROCESS_VARIABLE] = metrics
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # workers must not fight for each other's cores
    config = uvicorn.Config(
        "serving.http.server:worker_app",
        factory=True,
        http="serving.http.deadline:DeadlineProtocol",
        workers=workers,
        access_log=False,
        server_header=False,
        log_config=_logging(),
        proxy_headers=bool(chosen.trusted_proxies),
        forwarded_allow_ips=list(chosen.trusted_proxies),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        backlog=2048,
    )
    try:
        if workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises it again once it has stopped
        pass
    finally:
        listening.close()
        if metrics:
            shutil.rmtree(metrics, ignore_errors=True)


def _keys_required(own: Home, settings: ServingSettings, address: str, insecure: bool) -> bool:
    """Whether requests to an address need a key; it is that of the socket, for a name may stand for any.

    Raises
    ------
    UsageError
        If others reach the address without keys and without `--insecure`, or keys are required and there are none.
    """
    reachable = not is_loopback(address)
    required = settings.require_keys
    if required is None:
        required = reachable and not insecure
    if required and insecure:
        raise UsageError("--insecure and the setting require_keys contradict each other; give one of them")
    if reachable and not required:
        if not insecure:
            text = (
                f"{address} is reachable from other machines and require_keys is off; switch it on, or use --insecure"
            )
            raise UsageError(text)
        say(f"marquee: INSECURE: whoever reaches {address} may ask, and send events, without a key", logging.WARNING)
    if required and not any(key.is_valid(datetime.now(UTC)) for key in read_keys(own)):
        why = f"{address} is reachable from other machines" if reachable else "require_keys is set"
        add = f"marquee --home {own.root} keys add NAME --scope read"
        raise UsageError(f"keys are required ({why}) and there are none; make one: {add}; or use --insecure")
    return required


class UtcLines(logging.Formatter):
    """A log record as a line for people; times in UTC, as in the names of releases."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def worker_app() -> Any:
    """Make the application of one worker process, from what `serve` left in the environment."""
    from pathlib import Path

    from serving.http.app import create_app

    sys.setswitchinterval(0.001)  # a thread that computes gives way to the event loop sooner
    inherited = json.loads(os.environ[_WORKER_VARIABLE])
    logging.getLogger("marquee.serving").setLevel(logging.INFO)
    home, own = (Home(Path(inherited[name])) for name in ("home", "own"))
    return create_app(home, settings_from_environment(), inherited["workers"], own)
