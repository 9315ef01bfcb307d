"""A progress bar for progressive results."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from wampasgi.cli.data_forms import to_json, visible

_MOST_CHARACTERS: Final = 60


class ProgressBar:
    """Shows the latest progressive result, from the first one on. Use it with ``with``."""

    def __init__(self, console: Console, title: str) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[report]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._title = visible(title)
        self._task: TaskID | None = None

    def __enter__(self) -> Callable[[Any], None]:
        """Return the function that shows a progressive result."""
        return self._show

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._progress.stop()

    def _show(self, value: Any) -> None:
        done, total = _share(value)
        text = visible(value if isinstance(value, str) else to_json(value))
        report = text.replace("\n", " ")[:_MOST_CHARACTERS]
        is_first = self._task is None
        if self._task is None:
            self._task = self._progress.add_task(self._title, report="")
        self._progress.update(self._task, completed=done, total=total, report=report)
        if is_first:
            self._progress.start()


def _share(value: Any) -> tuple[float, float | None]:
    """Return the finished part of the work and all of it, None if the progressive result does not tell.

    A progressive result tells it by two numbers, the finished steps and their total, or by a number from 0 to
    1, or by a percentage.
    """
    if isinstance(value, dict) and value.keys() == {"args", "kwargs"}:
        value = value["args"]
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        done, total = value
        return (done, total) if 0 <= done <= total and total > 0 else (0, None)
    if _is_number(value) and 0 <= value <= 100:
        return value, 1.0 if value <= 1 else 100.0
    return 0, None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
