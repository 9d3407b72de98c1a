"""How a piece is seen and heard: a piano roll, a sound file, a page for the browser.

    rendering.plot(matrices, "piece.png")
    rendering.synthesize("piece.mid", "piece.wav")
    rendering.write_page([Piece("first", matrices, "piece.wav")], "index.html")

The picture is drawn here; `showing/` makes the sound and the page. All
files appear whole or not at all.
"""

import os
import pathlib

import numpy as np

from poph_tf.data import matrices as matrices_lib
from poph_tf.errors import InputError
from poph_tf.rendering.audio import synthesize
from poph_tf.rendering.html import Piece, write_page

__all__ = ["Piece", "plot", "synthesize", "write_page"]

PAPER, BLACK_KEY_ROW = "#fdfcfa", "#f2f0ec"
BAR_LINE, BEAT_LINE, INK = "#a8a49c", "#e3e0da", "#45423c"
# From pianissimo to fortissimo.
NOTE_SHADES = ("#bcd3ee", "#4f86c6", "#173a74")
BLACK_KEYS = (1, 3, 6, 8, 10)
ROW_STEPS = 128
MAX_ROWS = 12
MIN_PITCHES = 24
WIDTH_INCHES, DOTS_PER_INCH = 15.0, 110
_GAP_STEPS = 0.16  # what separates a note from its repetition


def plot(matrices, path, *, title="", min_pitch=None, num_pitches=None):
    """Draws a piece as a piano roll, in rows of about eight bars, like a score.

    Darker notes are louder; a darker left edge marks each onset, so that a repeated
    note differs from a held one. Bars are numbered; the C of each octave is named
    (C4 is MIDI pitch 60).

    Args:
        matrices: matrices.Matrices.
        path: str or path of the .png to write.
        title: str. Printed above.
        min_pitch: int or None. The lowest row; None fits what sounds.
        num_pitches: int or None. Rows; None fits what sounds.

    Raises:
        InputError: If matplotlib is missing or the file cannot be written.
    """
    figure_class, canvas_class = _matplotlib()
    low, high = _pitch_range(matrices, min_pitch, num_pitches)
    rows = split_rows(matrices)
    height = 0.35 + len(rows) * (0.32 + 0.06 * (high - low))
    figure = figure_class(figsize=(WIDTH_INCHES, height + 0.3), facecolor=PAPER)
    canvas_class(figure)
    grid = figure.add_gridspec(
        len(rows), 1, left=0.035, right=0.99, hspace=0.22,
        top=1 - 0.5 / (height + 0.3), bottom=0.15 / (height + 0.3),
    )  # fmt: skip
    figure.suptitle(
        title, x=0.035, y=1 - 0.08 / (height + 0.3), ha="left", va="top", color=INK
    )
    width = max(stop - start for start, stop in rows)
    notes = np.stack(matrices_lib.spans(matrices_lib.canonical(matrices).cells), 1)
    for index, (start, stop) in enumerate(rows):
        axes = figure.add_subplot(grid[index])
        axes.set(xlim=(start, start + width), ylim=(low, high))
        _draw_paper(axes, matrices, start, stop, low, high)
        inside = (notes[:, 0] < stop) & (notes[:, 1] > start)
        _draw_notes(axes, notes[inside], start, stop)
    _save(figure, path)


def _matplotlib():
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "Pictures need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return Figure, FigureCanvasAgg


def _pitch_range(matrices, min_pitch, num_pitches):
    """The rows to draw, from and up to (exclusive): what sounds, with some air."""
    sounding = np.flatnonzero((matrices.cells[..., 0] != 0).any(axis=0))
    low = min(sounding, default=60) - 2
    high = max(sounding, default=60) + 3
    missing = max(MIN_PITCHES - (high - low), 0)
    low, high = low - missing // 2, high + missing - missing // 2
    if min_pitch is not None:
        low = min_pitch
    if num_pitches is not None:
        high = low + num_pitches
    return max(int(low), 0), max(min(int(high), 128), int(low) + 1)


def split_rows(matrices, row_steps=ROW_STEPS):
    """Cuts a piece at bar lines into rows of at most `row_steps`, if bars allow it.

    A piece that would need more than `MAX_ROWS` gets longer rows.

    Args:
        matrices: matrices.Matrices.
        row_steps: int.

    Returns:
        list of (first step, step after the last), at least one.
    """
    length = len(matrices.cells)
    row_steps = max(row_steps, -(-length // MAX_ROWS))
    lines = np.flatnonzero(np.asarray(matrices.bar_position) == 0)
    rows, start = [], 0
    while length - start > row_steps:
        fitting = lines[(lines > start) & (lines <= start + row_steps)]
        stop = int(fitting[-1]) if len(fitting) else start + row_steps
        rows.append((start, stop))
        start = stop
    return [*rows, (start, max(length, start + 1))]


def _draw_paper(axes, matrices, start, stop, low, high):
    """Rows of black keys, lines of bars and beats, names of the Cs."""
    for pitch in range(low, high):
        if pitch % 12 in BLACK_KEYS:
            axes.fill_between(
                (start, stop), pitch, pitch + 1, color=BLACK_KEY_ROW, lw=0, zorder=0
            )
    position = np.asarray(matrices.bar_position)
    lines = np.flatnonzero(position == 0)
    beats = np.flatnonzero(position % matrices.steps_per_quarter == 0)
    for step in beats[(beats >= start) & (beats < stop)]:
        axes.axvline(step, color=BEAT_LINE, lw=0.6, zorder=1)
    for number, step in enumerate(lines, start=1):
        if start <= step < stop:
            axes.axvline(step, color=BAR_LINE, lw=0.9, zorder=1)
            axes.annotate(
                number, (step, high), xytext=(2, 2), textcoords="offset points",
                fontsize=7, color=BAR_LINE,
            )  # fmt: skip
    octaves = [pitch for pitch in range(low, high) if pitch % 12 == 0]
    for pitch in octaves:
        axes.plot((start, stop), (pitch, pitch), color=BAR_LINE, lw=0.6, zorder=1)
    axes.axvline(stop, color=BAR_LINE, lw=0.9, zorder=1, clip_on=False)
    axes.set_xticks([])
    axes.set_yticks(
        [pitch + 0.5 for pitch in octaves],
        [f"C{pitch // 12 - 1}" for pitch in octaves],
        fontsize=7,
        color=INK,
    )
    axes.tick_params(length=0, pad=2)
    axes.set_facecolor(PAPER)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_notes(axes, notes, start, stop):
    """Draws notes [note, (start, end, pitch, velocity)] as far as the row goes."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap

    if not len(notes):
        return
    shades = LinearSegmentedColormap.from_list("velocity", NOTE_SHADES)
    left = np.maximum(notes[:, 0], start)
    right = np.minimum(notes[:, 1], stop) - _GAP_STEPS
    colors = shades(notes[:, 3] / 127)
    axes.add_collection(
        PolyCollection(
            _boxes(left, right, notes[:, 2]), facecolors=colors, lw=0, zorder=2
        )
    )
    struck = notes[:, 0] >= start
    edge = np.minimum(left + 0.22, right)
    axes.add_collection(
        PolyCollection(
            _boxes(left, edge, notes[:, 2])[struck],
            facecolors=colors[struck] * (0.55, 0.55, 0.55, 1),
            lw=0,
            zorder=3,
        )
    )


def _boxes(left, right, pitch):
    """Corners [note, 4, (x, y)] of the boxes of notes."""
    bottom, top = pitch + 0.08, pitch + 0.92
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([bottom, bottom, top, top], axis=1)
    return np.stack([x, y], axis=-1)


def _save(figure, path):
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, facecolor=PAPER)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error
