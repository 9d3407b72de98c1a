"""Draws a piece as a piano roll, in rows of about eight bars, like a score.

Darker notes are louder; a darker left edge marks each onset, so that a repeated note
looks different from a held one. Each track has a colour; the track names are above.
Bars are numbered; the C of each octave is named (C4 is MIDI pitch 60).
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf.data import matrices as matrices_lib
from poph_tf.data.matrices import Matrices
from poph_tf.rendering import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, BLACK_KEY_ROW = "#fdfcfa", "#f2f0ec"
BAR_LINE, BEAT_LINE = "#a8a49c", "#e3e0da"
BLACK_KEYS = (1, 3, 6, 8, 10)  # pitch classes
# From pianissimo to fortissimo, for each track in turn; safe for the colour-blind.
TRACK_SHADES = (
    ("#bcd3ee", "#4f86c6", "#173a74"),  # blue
    ("#f6cfae", "#d9772b", "#7a3706"),  # orange
    ("#b9e0cd", "#2f9e73", "#0b4f36"),  # green
    ("#e9c2dd", "#b0508f", "#5c1746"),  # purple
    ("#ece3a4", "#b7a01f", "#5f5205"),  # yellow
    ("#d3d3d3", "#7f7f7f", "#333333"),  # grey
)
# For values other than loudness, from low to high.
HEAT_SHADES = ("#f4dfc8", "#e0713c", "#7d0414")
SHADE = "#d2553f"
ROW_STEPS = 128
MAX_ROWS = 12
MIN_PITCHES = 24
WIDTH_INCHES = 15.0
_GAP_STEPS = 0.16  # separates a note from its repetition
_EDGE_STEPS = 0.22  # width of the edge that marks an onset


def draw(
    matrices: Matrices,
    *,
    title: str = "",
    min_pitch: int | None = None,
    num_pitches: int | None = None,
    values: Sequence[np.ndarray] | None = None,
    shade: np.ndarray | None = None,
) -> "Figure":
    """Draws a piece.

    Args:
        matrices: The piece.
        title: Printed above.
        min_pitch: The lowest row; None fits the notes.
        num_pitches: Number of rows; None fits the notes.
        values: For each track, float [note] from 0 to 1, drawn instead of loudness, in
            one colour scale for all tracks; in the order of `cells.spans`.
        shade: float [time], 0 to 1: how strongly each step is shaded.

    Raises:
        InputError: If matplotlib is not installed.
    """
    low, high = _pitch_range(matrices, min_pitch, num_pitches)
    rows = split_rows(matrices)
    figure, grid, height = _new_page(title, len(rows), high - low)
    width = max(stop - start for start, stop in rows)
    matrices = matrices_lib.canonical(matrices)
    if values is None:
        _name_tracks(figure, matrices, height)
    layers = _layers(matrices, values)
    for index, (start, stop) in enumerate(rows):
        axes = figure.add_subplot(grid[index])
        axes.set(xlim=(start, start + width), ylim=(low, high))
        _draw_paper(axes, matrices, start, stop)
        _draw_shade(axes, shade, start, stop)
        for own, colors in layers:
            inside = (own[:, 0] < stop) & (own[:, 1] > start)
            _draw_notes(axes, own[inside], start, stop, colors)
    return figure


def _layers(
    matrices: Matrices, values: Sequence[np.ndarray] | None
) -> Sequence[tuple[np.ndarray, Sequence[str]]]:
    """Notes and colours of each track, the first on top; see `_draw_notes`."""
    tracks = [track.cells for track in matrices.tracks] or [matrices.cells]
    notes = [np.stack(matrices_lib.spans(cells), 1) for cells in tracks]
    shades = itertools.cycle(TRACK_SHADES if values is None else [HEAT_SHADES])
    for own, value in zip(notes, values or [], strict=values is not None):
        own[:, 3] = 127 * np.clip(value, 0, 1)
    return list(zip(notes, shades, strict=False))[::-1]


def _new_page(
    title: str, num_rows: int, num_pitches: int
) -> tuple["Figure", Any, float]:
    """An empty figure, the grid of its rows, and its height in inches."""
    height = 0.65 + num_rows * (0.32 + 0.06 * num_pitches)
    figure = figures.new_figure(WIDTH_INCHES, height, layout=None, facecolor=PAPER)
    grid = figure.add_gridspec(
        num_rows, 1, left=0.035, right=0.99, hspace=0.22,
        top=1 - 0.5 / height, bottom=0.15 / height,
    )  # fmt: skip
    figure.suptitle(
        title, x=0.035, y=1 - 0.08 / height, ha="left", va="top", color=figures.INK
    )
    return figure, grid, height


def _name_tracks(figure: "Figure", matrices: Matrices, height: float) -> None:
    """Writes the names of several tracks at the top right, in their colours."""
    if len(matrices.tracks) < 2:
        return
    x = 0.99
    named = list(zip(matrices.tracks, itertools.cycle(TRACK_SHADES), strict=False))
    for number, (track, shades) in reversed(list(enumerate(named, 1))):
        name = track.name or f"track {number}"
        figure.text(
            x, 1 - 0.1 / height, name, ha="right", va="top", fontsize=9, color=shades[1]
        )
        x -= 0.012 + 0.0055 * len(name)


def _pitch_range(
    matrices: Matrices, min_pitch: int | None, num_pitches: int | None
) -> tuple[int, int]:
    """Returns the lowest row and the one above the highest, with a margin."""
    sounding = np.flatnonzero((matrices.play != 0).any(axis=0))
    low = min(sounding, default=60) - 2
    high = max(sounding, default=60) + 3
    missing = max(MIN_PITCHES - (high - low), 0)
    low, high = low - missing // 2, high + missing - missing // 2
    if min_pitch is not None:
        low = min_pitch
    if num_pitches is not None:
        high = low + num_pitches
    return max(int(low), 0), max(min(int(high), 128), int(low) + 1)


def split_rows(matrices: Matrices, row_steps: int = ROW_STEPS) -> list[tuple[int, int]]:
    """Cuts a piece into rows, at bar lines if bars are shorter than a row.

    Args:
        matrices: The piece.
        row_steps: Most steps in a row, unless that gives more than `MAX_ROWS` rows.

    Returns:
        First step and step after the last of each row; at least one row.
    """
    length = len(matrices)
    row_steps = max(row_steps, -(-length // MAX_ROWS))
    lines = np.flatnonzero(matrices.bar_position == 0)
    rows, start = [], 0
    while length - start > row_steps:
        fitting = lines[(lines > start) & (lines <= start + row_steps)]
        stop = int(fitting[-1]) if len(fitting) else start + row_steps
        rows.append((start, stop))
        start = stop
    return [*rows, (start, max(length, start + 1))]


def _draw_paper(axes: "Axes", matrices: Matrices, start: int, stop: int) -> None:
    """Draws the rows of black keys, and lines of bars, beats and octaves."""
    low, high = (int(limit) for limit in axes.get_ylim())
    for pitch in range(low, high):
        if pitch % 12 in BLACK_KEYS:
            axes.fill_between(
                (start, stop), pitch, pitch + 1, color=BLACK_KEY_ROW, lw=0, zorder=0
            )
    position = matrices.bar_position
    for step in np.flatnonzero(position % matrices.steps_per_quarter == 0).tolist():
        if start <= step < stop:
            axes.axvline(step, color=BEAT_LINE, lw=0.6, zorder=1)
    for number, step in enumerate(np.flatnonzero(position == 0).tolist(), 1):
        if start <= step < stop:
            axes.axvline(step, color=BAR_LINE, lw=0.9, zorder=1)
            axes.annotate(
                str(number), (step, high), xytext=(2, 2), textcoords="offset points",
                fontsize=7, color=BAR_LINE,
            )  # fmt: skip
    octaves = [pitch for pitch in range(low, high) if pitch % 12 == 0]
    for pitch in octaves:
        axes.plot((start, stop), (pitch, pitch), color=BAR_LINE, lw=0.6, zorder=1)
    axes.axvline(stop, color=BAR_LINE, lw=0.9, zorder=1, clip_on=False)
    axes.set(facecolor=PAPER, xticks=[])
    names = [f"C{pitch // 12 - 1}" for pitch in octaves]
    axes.set_yticks(np.add(octaves, 0.5), names, fontsize=7, color=figures.INK)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)


def _draw_shade(axes: "Axes", shade: np.ndarray | None, start: int, stop: int) -> None:
    if shade is None:
        return
    shade, (low, high) = shade[start:stop], axes.get_ylim()
    steps = start + np.arange(len(shade))
    axes.bar(
        steps, high - low, 1.0, low, align="edge", color=[(SHADE, x) for x in shade],
        lw=0, zorder=1,
    )  # fmt: skip


def _draw_notes(
    axes: "Axes", notes: np.ndarray, start: int, stop: int, shades: Sequence[str]
) -> None:
    """Draws notes [note, (start, end, pitch, velocity)], clipped to the row."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap

    if not len(notes):
        return
    left = np.maximum(notes[:, 0], start)
    right = np.minimum(notes[:, 1], stop) - _GAP_STEPS
    boxes = _boxes(left, right, notes[:, 2])
    edges = _boxes(left, np.minimum(left + _EDGE_STEPS, right), notes[:, 2])
    scale = LinearSegmentedColormap.from_list("velocity", list(shades))
    colors = scale(notes[:, 3] / 127)
    begins = notes[:, 0] >= start
    dark = colors[begins] * (0.55, 0.55, 0.55, 1)
    axes.add_collection(PolyCollection(list(boxes), facecolors=colors, lw=0, zorder=2))
    axes.add_collection(
        PolyCollection(list(edges[begins]), facecolors=dark, lw=0, zorder=3)
    )


def _boxes(left: np.ndarray, right: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Returns the corners [note, 4, (x, y)] of the notes' boxes."""
    bottom, top = pitch + 0.08, pitch + 0.92
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([bottom, bottom, top, top], axis=1)
    return np.stack([x, y], axis=-1)
