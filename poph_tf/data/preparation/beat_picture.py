"""An SVG for the report: some bars of a performance with the beats found in it.

Above, time is in seconds, as played; below, it is in steps of the grid. Grey lines are
beats, red ones begin bars.
"""

import numpy as np

from poph_tf.data import notes as notes_lib
from poph_tf.data import quantization
from poph_tf.data.notes import Notes
from poph_tf.data.preparation.beats import Beats

_BARS = 6
_WIDTH, _HEIGHT, _GAP = 1000, 170, 16  # pixels, of each panel
_NOTE, _BEAT, _BAR = "#3366aa", "#cccccc", "#cc3333"


def draw(notes: Notes, found: Beats, placed: Notes) -> str:
    """Draws the first bars.

    Args:
        notes: a performance.
        found: its beats.
        placed: its notes on their grid, from `beat_warping.along`.

    Returns:
        An svg element; "" if fewer than two bar lines were found.
    """
    lines = found.downbeats[: _BARS + 1]
    if len(lines) < 2:
        return ""
    seconds, later = notes_lib.seconds_of(notes), notes_lib.seconds_of(placed)
    start, end = seconds(notes.start_tick), seconds(notes.end_tick)
    above = _panel((start, end, notes.pitch), found.beats, lines, 0)
    # The grid follows the tempo: its beats are at the times where they were found.
    origin = start.min() - later(placed.start_tick.min())
    clock = later(placed.tempo_ticks) + origin
    piece = quantization.quantize(placed)
    grid = placed.tempo_ticks * piece.steps_per_quarter / placed.ticks_per_quarter
    at = np.abs(clock[:, None] - lines).argmin(axis=0)
    rows = (piece.start, piece.end, piece.pitch)
    below = _panel(rows, grid, grid[at], _HEIGHT + _GAP)
    size = f'width="{_WIDTH}" height="{2 * _HEIGHT + _GAP}"'
    return f'<svg {size} role="img">{above}{below}</svg>'


def _panel(
    notes: tuple[np.ndarray, np.ndarray, np.ndarray],
    beats: np.ndarray,
    lines: np.ndarray,
    top: int,
) -> str:
    """Notes (start, end, pitch), beats and bar lines from the first line to the last.

    Times are in any unit; `top` is the panel's place in pixels.
    """
    first, last = float(lines[0]), float(lines[-1])
    scale = _WIDTH / max(last - first, 1e-9)
    start, end, pitch = notes
    shown = (start >= first - 1e-6) & (start < last)
    low, high = (int(f(pitch[shown], initial=60)) for f in (np.min, np.max))
    tall = _HEIGHT / (high - low + 2)
    drawn = [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + _HEIGHT}" '
        f'stroke="{colour}"/>'
        for times, colour in ((beats, _BEAT), (lines, _BAR))
        for x in (times[(times >= first) & (times <= last)] - first) * scale
    ]
    drawn += [
        f'<rect x="{(a - first) * scale:.1f}" y="{top + (high - p) * tall:.1f}" '
        f'width="{max((min(b, last) - a) * scale - 1, 1):.1f}" '
        f'height="{tall:.1f}" fill="{_NOTE}"/>'
        for a, b, p in zip(
            *(column[shown].tolist() for column in (start, end, pitch)), strict=True
        )
    ]
    return "".join(drawn)
