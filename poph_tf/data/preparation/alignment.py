"""Finds the grid, its phase and the bars of music that was not played on it.

Many files begin anywhere. Their onsets cluster at some offset from the grid of steps:
the mean direction of the onsets' phases, as angles on a circle of one step. Moving the
piece by that offset makes rounding harmless.

Performances recorded without a click have no such offset, since the beats of their
files mean nothing. Their own beats are found (beats.py) and become the grid
(beat_warping.py).

If the file's bars cannot be those of the music (there is no metre, or a "bar" is a
single beat, or the piece had to be moved, or accents avoid the bar lines), bars are
estimated as well (downbeats.py). The result depends on the file alone.

Positions of onsets are in steps, positions in `Notes` in ticks.
"""

import dataclasses

import numpy as np

from poph_tf.data import bars
from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes
from poph_tf.data.preparation import beat_warping, beats, downbeats

# A shift below this share of a step would not change the rounding.
_LEAST_OFFSET = 1 / 16
# Mean resultant length below which onsets have no common phase.
_LEAST_CONCENTRATION = 0.3
_LEAST_ONSETS = 16
# Grids that a file may be written on, in parts of a quarter: a piece in triplets has no
# phase on sixteenths, nor does one in 32nds.
_GRIDS = (4, 6, 8, 12)
# Bar lines found must match the music this much better than the file's own, as a share
# of their match; above 1, accents avoid the file's.
_LEAST_GAIN = 1.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How a piece was aligned.

    Attributes:
        error_before: mean distance of the file's onsets to the grid, steps.
        error_after: the same after alignment.
        found: the beats found and used as the grid; None if the file's were kept.
    """

    error_before: float
    error_after: float
    found: beats.Beats | None = None


def align(
    notes: Notes,
    steps_per_quarter: int = bars.STEPS_PER_QUARTER,
    *,
    by_beats: bool = False,
) -> tuple[Notes, Alignment]:
    """Puts a piece on the grid.

    Args:
        notes: the notes of a piece.
        steps_per_quarter: steps of the grid in a quarter note.
        by_beats: always use the beats of the music. Otherwise they are used only if
            the file's explain the onsets badly; if not, the piece is moved onto the
            grid and gets bars if its file has none.

    Returns:
        The piece and how it was aligned. Pieces of few notes keep the file's beats.
    """
    if len(notes) >= _LEAST_ONSETS and (by_beats or not explained(notes)):
        along_beats = _along_beats(notes, steps_per_quarter)
        if along_beats:
            found = along_beats[1]
            if by_beats or found.error_after < found.error_before:
                return along_beats
    return _moved(notes, steps_per_quarter)


def explained(notes: Notes) -> bool:
    """Whether onsets cluster on some grid of the file's quarters, or at an offset."""
    quarters = notes.start_tick / notes.ticks_per_quarter
    return any(phase(quarters * grid)[1] >= _LEAST_CONCENTRATION for grid in _GRIDS)


def _along_beats(
    notes: Notes, steps_per_quarter: int
) -> tuple[Notes, Alignment] | None:
    """The piece on the grid of its own beats; None if it has too few."""
    found = beats.find(notes)
    if len(found.beats) < 2:
        return None
    warped = beat_warping.along(notes, found)
    before, after = (
        grid_error(piece.start_tick * steps_per_quarter / piece.ticks_per_quarter)
        for piece in (notes, warped)
    )
    return warped, Alignment(before, after, found)


def _moved(notes: Notes, steps_per_quarter: int) -> tuple[Notes, Alignment]:
    """Moves a piece onto the file's grid and gives it bars if its file has none."""
    step_ticks = notes.ticks_per_quarter / steps_per_quarter
    offset, concentration = phase(notes.start_tick / step_ticks)
    before = grid_error(notes.start_tick / step_ticks)
    shift = round(offset * step_ticks)
    is_clear = len(notes) >= _LEAST_ONSETS and concentration >= _LEAST_CONCENTRATION
    if not is_clear or abs(offset) < _LEAST_OFFSET:
        shift = 0
    if shift:
        # A note before 0 would be less than half a step early: it stays at 0.
        notes = notes_lib.shifted(notes, -shift)
    found = Alignment(before, grid_error(notes.start_tick / step_ticks))
    return _with_bars(notes, steps_per_quarter, is_moved=bool(shift)), found


def phase(positions: np.ndarray) -> tuple[float, float]:
    """Finds where onsets lie between two steps.

    Args:
        positions: float [note], steps.

    Returns:
        (offset after the grid, -0.5..0.5 steps; concentration, the mean resultant
        length, 0..1).

    Example:
        >>> offset, concentration = phase(np.array([0.25, 3.25]))
        >>> round(offset, 6), round(concentration, 6)
        (0.25, 1.0)
    """
    if not len(positions):
        return 0.0, 0.0
    mean = np.exp(2j * np.pi * positions).mean()
    return float(np.angle(mean) / (2 * np.pi)), float(abs(mean))


def grid_error(positions: np.ndarray) -> float:
    """Mean distance of positions (float [note], steps) to the nearest step.

    Example:
        >>> grid_error(np.array([0.0, 1.25, 2.75]))
        0.16666666666666666
    """
    if not len(positions):
        return 0.0
    return float(np.abs(positions - np.floor(positions + 0.5)).mean())


def file_metre(notes: Notes) -> tuple[int, int] | None:
    """The metre of most of a file.

    A file may open with an empty bar of 4/4 and continue in bars of one beat.

    Returns:
        (numerator, denominator); (0, 0) if there is none or only a single beat; None if
        it changes within the piece.
    """
    end = notes.end_tick.max(initial=0)
    spans = np.diff(np.append(notes.time_signatures[:, 0], end).clip(max=end))
    held = notes.time_signatures[spans > 0, 1:]
    single = notes.time_signatures[:, 1] <= 1
    if 2 * spans[~single].sum() <= end:
        return (0, 0)
    kinds = {(numerator, denominator) for numerator, denominator in held.tolist()}
    return kinds.pop() if len(kinds) == 1 else None


def _with_bars(notes: Notes, steps_per_quarter: int, *, is_moved: bool) -> Notes:
    """Replaces the file's time signatures if they do not fit the music."""
    metre = file_metre(notes)
    if metre is None or len(notes.bar_marks):
        return notes  # The file marks its bars one by one.
    known = metre != (0, 0)
    wanted = (metre,) if known else downbeats.USUAL_METRES
    bar = downbeats.find(notes, wanted, steps_per_quarter)
    if bar is None:
        return notes
    (numerator, denominator), first, gain = bar
    if known and not is_moved and gain <= _LEAST_GAIN:
        return notes
    signatures = [(0, numerator, denominator)]
    if first:
        # A first bar that is cut short counts as an upbeat (see bars.bar_positions).
        first_tick = first * notes.ticks_per_quarter // steps_per_quarter
        signatures.append((first_tick, numerator, denominator))
    return dataclasses.replace(notes, time_signatures=np.array(signatures, np.int64))
