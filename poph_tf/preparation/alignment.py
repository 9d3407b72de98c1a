"""Finds the phase of the grid, and of the bar, in what was not played on it.

Performances and many pop files begin anywhere. Their onsets cluster at some offset from
the grid of steps: the mean direction of the onsets' phases, as angles on a circle of
one step. Moving the piece by that offset makes rounding harmless.

Where the file's metre says nothing (there is none, or a "bar" is a single beat), bars
are looked for as well. First the beat: of the steps of a quarter note the one on which
most begins. Then, of 3/4 and 4/4, each with every phase by whole beats, the bar whose
lines gather most of the accents (loud, long and low notes, and changes of the bass).
The same is done, with the file's own metre, for a piece that had to be moved onto the
grid and whose beats are clearly not where the file has its: what is not on the grid is
not on the file's bar lines either. All is decided by the file alone.

Source of the accents: Temperley & Sleator, Modeling Meter and Harmony: A
Preference-Rule Approach, Computer Music Journal 23(1), 1999 (their rules on length,
event and bass accents, in small).
"""

import dataclasses

import numpy as np

from poph_tf import bars
from poph_tf import notes as notes_lib

# Below this share of a step a shift would not change what rounding does.
_LEAST_OFFSET = 1 / 16
# Mean resultant length under which onsets have no common phase.
_LEAST_CONCENTRATION = 0.3
_LEAST_ONSETS = 16
_BEATS = (4, 3)
# Three in a bar must explain accents this much better: four is far more common.
_TRIPLE_MARGIN = 1.1
# How much more must begin on the beat found than on that of the file, to move its bars.
_BEAT_MARGIN = 1.5


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What was done to a piece.

    Args:
        offset_steps: float. How far onsets lay after the grid; the piece was moved by
            as much (0: not moved).
        concentration: float in 0..1. How much the onsets agree on a phase.
        error_before, error_after: float. Mean distance of onsets to the grid, steps.
        beats_per_bar: int. Of the bars that were found; 0 if the file's were kept.
        bar_offset_steps: int. The first bar line found.
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
    if not has_metre(notes):
        return _with_bars(notes, found, steps_per_quarter, _BEATS)
    weights = step_weights(notes, steps_per_quarter)
    own = np.unique(notes.time_signatures[:, 1:], axis=0).tolist()
    if shift and weights.max() > _BEAT_MARGIN * weights[0] and len(own) == 1:
        beats, unit = own[0]
        if unit == 4:
            return _with_bars(notes, found, steps_per_quarter, (beats,))
    return notes, found


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


def has_metre(notes):
    """Whether, for most of a piece, its time signatures say more than the beats.

    A file may open with a 4/4 that nothing is in, and go on in bars of one beat.
    """
    ticks, numerators = notes.time_signatures[:, :2].T
    end = notes.end_tick.max(initial=0)
    spans = np.diff(np.append(ticks, end).clip(max=end))
    return bool(2 * spans[numerators > 1].sum() > end)


def _with_bars(notes, found, steps_per_quarter, choices):
    """Time signatures for the bars that accents tell of."""
    beats, first_step = bar_phase(notes, steps_per_quarter, choices)
    if not beats:
        return notes, found
    signatures = [(0, beats, 4)]
    if first_step:
        # A first bar that is cut short counts as an upbeat (see bars.bar_positions).
        first_tick = -(-first_step * notes.ticks_per_quarter // steps_per_quarter)
        signatures.append((first_tick, beats, 4))
    notes = dataclasses.replace(notes, time_signatures=np.array(signatures, np.int64))
    found = dataclasses.replace(found, beats_per_bar=beats, bar_offset_steps=first_step)
    return notes, found


def bar_phase(notes, steps_per_quarter=bars.STEPS_PER_QUARTER, choices=_BEATS):
    """The bar that gathers most accents.

    Args:
        notes: notes.Notes, on the grid.
        steps_per_quarter: int.
        choices: beats that a bar may have.

    Returns:
        beats in a bar, the step on which the first bar begins; (0, 0) for pieces too
        short to tell.
    """
    beat_step = int(step_weights(notes, steps_per_quarter).argmax())
    accents = beat_accents(notes, steps_per_quarter, beat_step)
    best = (0.0, 0, 0)
    for beats in choices:
        count = len(accents) // beats * beats
        if count < 4 * beats or not accents.sum():
            continue
        profile = accents[:count].reshape(-1, beats).mean(0)
        first = int(profile.argmax())
        # Accent of the first beat over that of the others.
        score = profile[first] / (profile.sum() - profile[first] + 1e-9) * (beats - 1)
        if not best[1] or score > best[0] * _TRIPLE_MARGIN:
            best = (score, beats, first)
    return best[1], best[2] * steps_per_quarter + beat_step if best[1] else 0


def step_weights(notes, steps_per_quarter=bars.STEPS_PER_QUARTER):
    """How much begins on each step of a quarter note, counted from the file's start.

    Args:
        notes: notes.Notes.

    Returns:
        float [step of a quarter].
    """
    step, length, loud, _ = _onsets(notes, steps_per_quarter)
    return np.bincount(
        step % steps_per_quarter, np.sqrt(length) * loud, steps_per_quarter
    )


def _onsets(notes, steps_per_quarter):
    """step, length (at most a bar), loudness, pitch of notes that are no drums."""
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    keep = ~notes.is_drum
    step = bars.to_steps(notes.start_tick[keep], *grid)
    end = bars.to_steps(notes.end_tick[keep], *grid)
    length = np.clip(end - step, 1, 4 * steps_per_quarter)
    pitch = notes.pitch[keep].astype(np.int64)
    return step, length, notes.velocity[keep] / 127, pitch


def beat_accents(notes, steps_per_quarter=bars.STEPS_PER_QUARTER, beat_step=0):
    """How much begins on each beat.

    Args:
        notes: notes.Notes.
        steps_per_quarter: int.
        beat_step: int. The step of a quarter on which the beats are.

    Returns:
        float [beat].
    """
    step, length, loud, pitch = _onsets(notes, steps_per_quarter)
    on_beat = step % steps_per_quarter == beat_step
    if not on_beat.any():
        return np.zeros(0)
    beat = step[on_beat] // steps_per_quarter
    accents = np.bincount(beat, (np.sqrt(length) * loud)[on_beat])
    changes = _bass_changes(beat, pitch[on_beat], len(accents))
    return accents + changes * accents.mean() * 2


def _bass_changes(beat, pitch, count):
    """1 on beats whose lowest new note is low and not that of the beat before."""
    lowest = np.full(count, 128)
    np.minimum.at(lowest, beat, pitch)
    sounding = np.flatnonzero(lowest < 128)
    changes = np.zeros(count)
    low = lowest[sounding]
    changed = np.append(True, low[1:] % 12 != low[:-1] % 12)
    changes[sounding] = changed & (low <= np.median(low))
    return changes
