"""Draws a performance, the beats found in it, and its notes on the grid.

The upper panel is in seconds, the lower one in steps; both show the same bars. Grey
lines are beats, red lines begin bars.
"""

from typing import TYPE_CHECKING

import numpy as np

from poph_tf.data import notes as notes_lib
from poph_tf.data import quantization
from poph_tf.data.notes import Notes
from poph_tf.data.preparation import beat_warping
from poph_tf.data.preparation.beats import Beats
from poph_tf.rendering import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, HEIGHT_INCHES = 13.0, 6.0
_NOTE_HEIGHT = 0.8


def draw(
    notes: Notes, found: Beats, *, first_bar: int = 1, bars: int = 6, title: str = ""
) -> "Figure":
    """Draws some bars of a performance.

    Args:
        notes: the performance.
        found: its beats, with more than `first_bar` bar lines.
        first_bar: the first bar to draw; 1 begins at the first bar line.
        bars: how many bars.
        title: printed above.

    Raises:
        InputError: If matplotlib is not installed.
    """
    figure = figures.new_figure(WIDTH_INCHES, HEIGHT_INCHES)
    played, quantized = figure.subplots(2, 1)
    lines = found.downbeats[first_bar - 1 : first_bar + bars]
    span = lines[0], lines[-1]
    seconds = notes_lib.seconds_of(notes)
    times = seconds(notes.start_tick), seconds(notes.end_tick)
    _draw_notes(played, *times, notes.pitch, span)
    _draw_lines(played, found.beats, figures.GRID)
    _draw_lines(played, found.downbeats, figures.RED)
    figures.tidy(played, title)
    played.set_xlabel("as played, seconds")
    _draw_quantized(quantized, notes, found, span, times[0].min())
    return figure


def _draw_quantized(
    axes: "Axes", notes: Notes, found: Beats, span: tuple[float, float], begin: float
) -> None:
    """Draws the notes on the grid; `span` and `begin` (first onset) are in seconds."""
    warped = beat_warping.along(notes, found)
    piece = quantization.quantize(warped)
    # Finds the steps of the span, so that both panels show the same notes.
    tempo_seconds = notes_lib.seconds_of(warped)
    origin = begin - tempo_seconds(warped.start_tick.min())
    per_step = beat_warping.TICKS_PER_QUARTER / piece.steps_per_quarter
    clock = tempo_seconds(np.arange(len(piece) + 1) * per_step) + origin
    first, last = (float(np.abs(clock - edge).argmin()) for edge in span)
    _draw_notes(axes, piece.start, piece.end, piece.pitch, (first, last))
    # Each beat has its own tempo.
    _draw_lines(axes, warped.tempo_ticks / per_step, figures.GRID)
    _draw_lines(axes, np.flatnonzero(piece.bar_position == 0), figures.RED)
    figures.tidy(axes)
    axes.set_xlabel("on the grid, steps")


def _draw_notes(
    axes: "Axes",
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    span: tuple[float, float],
) -> None:
    inside = (end > span[0]) & (start < span[1])
    axes.barh(
        pitch[inside], (end - start)[inside], _NOTE_HEIGHT, start[inside],
        color=figures.BLUE, edgecolor="white", linewidth=0.4, zorder=3,
    )  # fmt: skip
    axes.set_xlim(*span)


def _draw_lines(axes: "Axes", places: np.ndarray, color: str) -> None:
    low, high = axes.get_xlim()
    for place in places[(places >= low) & (places <= high)].tolist():
        axes.axvline(place, color=color, linewidth=1.0, zorder=1)
