"""Progress on stderr: a line per asset made, check failed or warning given; everything else is in the UI.

Belongs here: the logger that the command line's runs use. Output on stdout belongs to the commands themselves, the bar
at a terminal to `orchestration.progress_bar`.
"""

import logging
import sys
from typing import ClassVar

import dagster as dg

from orchestration.logs import RunJsonLines
from orchestration.progress_bar import ProgressBar, bar_of
from warehouse.logs import as_json


class _OneLine(logging.Handler):
    """Prints the few events a person waiting for a run wants to see."""

    _said: ClassVar[set[str]] = set()

    def __init__(self, bar: ProgressBar | None) -> None:
        super().__init__()
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        """Print a materialization, a failed check, or a message of ours."""
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is not None and self._bar is not None:
            self._bar.follow(event)
        if event is None:
            text = meta.get("orig_message") or record.getMessage()
            # That steps after a failed one are skipped goes without saying.
            if record.levelno >= logging.INFO and not text.startswith("Dependencies for step"):
                self._say(text)
        elif event.is_step_materialization:
            made = event.step_materialization_data.materialization
            values = {key: value.value for key, value in made.metadata.items()}
            if ("seconds" in values and made.partition in (None, "0")) or (
                values.get("seconds") and made.partition is None
            ):
                rows = values.get("dagster/row_count")
                what = "unchanged" if values.get("unchanged") else f"{rows:,} rows" if rows is not None else "done"
                seconds = values["seconds"]
                rate = f"{rows / seconds:14,.0f} rows/s" if what.endswith("rows") and seconds else ""
                self._say(f"{made.asset_key.to_user_string():<30} {what:>20} {seconds:8.1f} s{rate}")
        elif event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
            found = event.asset_check_evaluation_data
            word = "failed" if found.severity == dg.AssetCheckSeverity.ERROR else "warns"
            line = f"check {found.check_name} {word}: {found.description or ''}"
            if line not in self._said:  # several jobs of one run show the same check
                self._said.add(line)
                self._say(line)

    def _say(self, text: str) -> None:
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.say(text)


@dg.logger({"earlier_seconds": dg.Field(dict, default_value={})}, description="One line per asset on stderr.")
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Make the logger of a run: every record where JSON is wanted, else lines for people, at a terminal with a bar."""
    logger = logging.Logger("dagster", level=logging.DEBUG)
    if as_json():
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(RunJsonLines())
    else:
        assert context.job_def is not None
        steps, earlier = len(context.job_def.nodes), context.logger_config["earlier_seconds"]
        handler = _OneLine(bar_of(str(context.run_id), steps, earlier) if sys.stderr.isatty() else None)
    logger.addHandler(handler)
    return logger
