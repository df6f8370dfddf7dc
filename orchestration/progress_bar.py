"""A bar below the lines of a run, at a terminal: the step under way, how many are done, how long the rest may take.

Belongs here: the bar. Does not belong here: the lines (`orchestration.progress`). The remaining time is what the steps
took in the job's last successful run; without one, none is shown.
"""

import time
from collections.abc import Mapping

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class _Remaining(ProgressColumn):
    """The time that the steps to come took the last time."""

    def render(self, task: Task) -> Text:
        """The rest of this step, and those after it."""
        expected: float | None = task.fields["expected"]
        if expected is None:
            return Text("")
        left = max(0.0, expected - (time.monotonic() - task.fields["since"]))
        return Text(f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left")


class ProgressBar:
    """The bar of one run.

    Parameters
    ----------
    steps : int
        How many the run has.
    seconds : mapping of str to float
        What each took in the last run; empty if nobody knows.
    """

    def __init__(self, steps: int, seconds: Mapping[str, float]) -> None:
        self._left = dict(seconds)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _Remaining(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=steps, expected=None, since=0.0)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def follow(self, event: dg.DagsterEvent) -> None:
        """Move with an event of the run."""
        kind, step = event.event_type, str(event.step_key)
        if kind == dg.DagsterEventType.STEP_START:
            self._progress.start()
            expected = sum(self._left.values()) if self._left else None
            self._progress.update(
                self._task, description=step.replace("__", "/"), expected=expected, since=time.monotonic()
            )
        elif kind in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
            self._left.pop(step, None)
            self._progress.advance(self._task)
        elif kind in (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE):
            self._progress.stop()


_bars: dict[str, ProgressBar] = {}


def bar_of(run_id: str, steps: int, seconds: Mapping[str, float]) -> ProgressBar:
    """The bar of a run: Dagster makes several loggers for each."""
    if run_id not in _bars:
        _bars[run_id] = ProgressBar(steps, seconds)
    return _bars[run_id]


def earlier_seconds(instance: dg.DagsterInstance, job: str) -> dict[str, float]:
    """What each step took in the last successful run of a job; empty without one."""
    wanted = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    for run in instance.get_runs(wanted, limit=1):
        stats = instance.get_run_step_stats(run.run_id)
        return {each.step_key: each.end_time - each.start_time for each in stats if each.end_time and each.start_time}
    return {}
