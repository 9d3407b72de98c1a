"""Finds the phase of the grid, and of the bar, in what was not played on it.

Performances and many pop files begin anywhere. Their onsets cluster at some offset from
the grid of steps: the mean direction of the onsets' phases, as angles on a circle of
one step. Moving the piece by that offset makes rounding harmless.

Where the file's bars can't be the music's (there is no metre, or a "bar" is a single
beat, or the piece had to be moved, or accents avoid the bar lines), bar lines are
looked for as well (bar_finder.py). All is decided by the file alone.
"""

import dataclasses

import numpy as np

from poph_tf.data import bars
from poph_tf.data import notes as notes_lib
from poph_tf.data.preparation import downbeats

# Below this share of a step a shift would not change what rounding does.
_LEAST_OFFSET = 1 / 16
# Mean resultant length under which onsets have no common phase.
_LEAST_CONCENTRATION = 0.3
_LEAST_ONSETS = 16
# Bar lines found must match the music this much better than the file's own, as a share
# of their match; above 1, accents avoid the file's.
_LEAST_GAIN = 1.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What was done to a piece.

    Args:
        offset_steps: float. How far onsets lay after the grid; the piece was moved by
            as much (0: not moved).
        concentration: float in 0..1. How much the onsets agree on a phase.
        error_before, error_after: float. Mean distance of onsets to the grid, steps.
        beats_per_bar: int. Of the bars that were found; 0 if the file's were kept.
        bar_offset_steps: int. The first bar line found, in 0..steps of a bar.
    """

    offset_steps: float = 0.0
    concentration: float = 0.0
    error_before: float = 0.0
    error_after: float = 0.0
    beats_per_bar: int = 0
    bar_offset_steps: int = 0


def align(notes, steps_per_quarter=bars.STEPS_PER_QUARTER):
    """Moves a piece onto the grid and gives it bars where its file says none.

    Args:
        notes: notes.Notes.
        steps_per_quarter: int.

    Returns:
        (Notes, Alignment).
    """
    step_ticks = notes.ticks_per_quarter / steps_per_quarter
    offset, concentration = phase(notes.start_tick / step_ticks)
    before = grid_error(notes.start_tick / step_ticks)
    if len(notes) < _LEAST_ONSETS or concentration < _LEAST_CONCENTRATION:
        offset = 0.0
    shift = round(offset * step_ticks)
    if abs(offset) < _LEAST_OFFSET or not shift:
        offset, shift = 0.0, 0
    if shift:
        # What would begin before 0 is less than half a step early: it stays at 0.
        notes = notes_lib.shifted(notes, -shift)
    found = Alignment(
        offset_steps=offset,
        concentration=concentration,
        error_before=before,
        error_after=grid_error(notes.start_tick / step_ticks),
    )
    return _with_bars(notes, found, steps_per_quarter)


def phase(positions):
    """Where onsets lie between two steps.

    Args:
        positions: float [note], in steps.

    Returns:
        offset, in -0.5..0.5 steps after the grid; concentration, the mean resultant
        length in 0..1.
    """
    if not len(positions):
        return 0.0, 0.0
    mean = np.exp(2j * np.pi * positions).mean()
    return float(np.angle(mean) / (2 * np.pi)), float(abs(mean))


def grid_error(positions):
    """Mean distance of positions (float [note], steps) to the nearest step."""
    if not len(positions):
        return 0.0
    return float(np.abs(positions - np.floor(positions + 0.5)).mean())


def file_metre(notes):
    """The metre of most of a file.

    A file may open with a 4/4 that nothing is in, and go on in bars of one beat.

    Returns:
        (numerator, denominator); (0, 0) where there is none or only a single beat, and
        None where it changes along the piece.
    """
    end = notes.end_tick.max(initial=0)
    spans = np.diff(np.append(notes.time_signatures[:, 0], end).clip(max=end))
    held = notes.time_signatures[spans > 0, 1:]
    single = notes.time_signatures[:, 1] <= 1
    if 2 * spans[~single].sum() <= end:
        return (0, 0)
    kinds = {tuple(row) for row in held.tolist()}
    return kinds.pop() if len(kinds) == 1 else None


def _with_bars(notes, found, steps_per_quarter):
    """Time signatures for the bars that the music tells of, where the file's fail."""
    metre = file_metre(notes)
    if metre is None or len(notes.bar_marks):
        return notes, found  # its bars are said one by one
    known = metre != (0, 0)
    wanted = (metre,) if known else downbeats.USUAL_METRES
    bar = downbeats.find(notes, wanted, steps_per_quarter)
    if bar is None:
        return notes, found
    (numerator, _), first, gain = bar
    if known and not found.offset_steps and gain <= _LEAST_GAIN:
        return notes, found
    return (
        dataclasses.replace(
            notes,
            time_signatures=_signatures(notes, bar, steps_per_quarter),
        ),
        dataclasses.replace(found, beats_per_bar=numerator, bar_offset_steps=first),
    )


def _signatures(notes, bar, steps_per_quarter):
    """int64 [change, 3]: the bars found, from tick 0."""
    metre, first, _ = bar
    signatures = [(0, *metre)]
    if first:
        # A first bar that is cut short counts as an upbeat (see bars.bar_positions).
        first_tick = first * notes.ticks_per_quarter // steps_per_quarter
        signatures.append((first_tick, *metre))
    return np.array(signatures, np.int64)
