"""Progress of long work: a live bar in a terminal or notebook, else a few lines."""

import html
import sys
import time
from typing import Any, TextIO

SECONDS_BETWEEN_LINES = 60.0  # where a line cannot be updated


class Progress:
    """Shows how far the work is, its rate, the time left and a message.

    On a terminal the line is live; elsewhere (a log, a container) one is printed every
    `SECONDS_BETWEEN_LINES`.

    Args:
        total: units of the whole work; None if unknown.
        unit: such as "steps".
        stream: where to show it; None shows nothing.

    Example:
        >>> with Progress(3, "pieces", stream=None) as progress:
        ...     progress.update(1)
    """

    def __init__(
        self, total: float | None, unit: str, stream: TextIO | None = sys.stderr
    ) -> None:
        self.total, self.unit, self.stream = total, unit, stream
        self.first: float | None = None
        self.since = self.said = time.monotonic()
        self.live: Any = None
        self.shown: Any = None
        if stream is not None and stream.isatty():
            import rich.console
            import rich.progress

            self.live = rich.progress.Progress(
                rich.progress.BarColumn(30),
                rich.progress.TextColumn("{task.description}"),
                console=rich.console.Console(file=stream),
            )
            self.task = self.live.add_task("", total=total)
            self.live.start()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(
        self, done: float, text: str = "", *, total: float | None = None
    ) -> None:
        """Shows `done` units; the rate is measured from the first call.

        Args:
            done: units so far.
            text: a message to show beside them.
            total: a new estimate of the units of the whole work.
        """
        now = time.monotonic()
        self.total = total or self.total
        if self.first is None:
            self.first, self.since = done, now
        if self.shown:
            self.shown.update(_Bar(done, self.total, self.line(done, text, now)))
        elif self.live:
            description = self.line(done, text, now)
            self.live.update(
                self.task, completed=done, total=self.total, description=description
            )
        elif self.stream and now - self.said >= SECONDS_BETWEEN_LINES:
            self.said = now
            self.print(self.line(done, text, now))

    def line(self, done: float, text: str, now: float) -> str:
        """The line that shows how far the work is."""
        rate = (done - (self.first or 0.0)) / max(now - self.since, 1e-9)
        of = f"/{self.total:,.0f}" if self.total else ""
        speed = f"{rate:,.2f}/s" if rate >= 0.01 else ""  # omitted for few, large units
        whole = int(done + 1e-6)  # Three times a third is one, despite rounding.
        parts = [f"{whole:,}{of} {self.unit}", text, speed]
        if self.total and rate > 0:
            parts.append(f"{duration(max(self.total - done, 0) / rate)} left")
        return "  ".join(part for part in parts if part)

    def print(self, text: str) -> None:
        """Prints a line that stays."""
        if self.live:
            self.live.console.print(text, markup=False, highlight=False)
        elif self.stream:
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Ends the live line."""
        if self.live:
            self.live.stop()
            self.live = None
        if self.shown:
            self.shown.update(_Bar())
            self.shown = None


class _Bar:
    """What a notebook shows: a bar and a line of text, or nothing."""

    def __init__(
        self, done: float = 0, total: float | None = None, line: str = ""
    ) -> None:
        self.done, self.total, self.line = done, total, line

    def __repr__(self) -> str:
        return self.line

    def _repr_html_(self) -> str:
        if not self.line:
            return ""
        bar = f'<progress value="{self.done}" max="{self.total}"></progress> '
        return (bar if self.total else "") + html.escape(self.line)


def in_notebook(total: float | None, unit: str) -> Progress:
    """Progress that is shown only in a notebook, for calls from Python."""
    made = Progress(total, unit, stream=None)
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if hasattr(shell, "kernel"):
        from IPython.display import display

        made.shown = display(_Bar(), display_id=True)
    return made


def duration(seconds: float) -> str:
    """A duration as people write it.

    Example:
        >>> duration(50), duration(170), duration(9000)
        ('50 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
