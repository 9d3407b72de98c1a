"""Estimates where bars begin in music that was not written in bars.

Each phase of a bar is compared with the music: the accents of the notes that begin on a
step (long and loud notes count more) and the moves of the bass, both averaged over all
bars at that phase, should follow the strong and weak places of the metre. The phase
with the best match wins; of three and four beats in a bar, the better match wins too.

References: Temperley & Sleator, Modeling Meter and Harmony: A Preference-Rule Approach,
Computer Music Journal 23(1), 1999: their event, length and bass rules. The strengths
are the levels of Lerdahl & Jackendoff, A Generative Theory of Tonal Music, 1983.
"""

from collections.abc import Sequence

import numpy as np

from poph_tf.data import bars
from poph_tf.data.notes import Notes

Metre = tuple[int, int]

# Metres that are tried if the file names none.
USUAL_METRES: tuple[Metre, ...] = ((4, 4), (3, 4))
# Three in a bar must match this much better: four is far more common.
_TRIPLE_MARGIN = 1.1
_LEAST_BARS = 4
_LONGEST_QUARTERS = 4
# Weight of a bass note that repeats the one before it; one that moves has 1.
_STILL_BASS = 0.3


def strengths(
    metre: Metre, steps_per_quarter: int = bars.STEPS_PER_QUARTER
) -> np.ndarray | None:
    """How strong each place of a bar is: the number of metrical levels it lies on.

    Args:
        metre: (numerator, denominator).
        steps_per_quarter: steps of the grid in a quarter note.

    Returns:
        float [step of the bar]; None if a bar or a beat is not a whole number of steps.

    Example:
        >>> strengths((4, 4), steps_per_quarter=2)
        array([3., 0., 1., 0., 2., 0., 1., 0.])
    """
    numerator, denominator = metre
    bar, rest = divmod(4 * steps_per_quarter * numerator, denominator)
    compound = denominator == 8 and numerator % 3 == 0 and numerator > 3
    units = 3 if compound else 1
    beat, beat_rest = divmod(4 * steps_per_quarter * units, denominator)
    if rest or beat_rest or bar < 2 or bar == beat:
        return None
    periods = {bar, beat}
    if not compound and numerator % 4 == 0:
        periods.add(bar // 2)
    division = beat // (3 if compound else 2)
    if division > 1:
        periods.add(division)
    place = np.arange(bar)
    return np.sum([place % period == 0 for period in periods], axis=0, dtype=float)


def find(
    notes: Notes,
    metres: Sequence[Metre] = USUAL_METRES,
    steps_per_quarter: int = bars.STEPS_PER_QUARTER,
) -> tuple[Metre, int, float] | None:
    """The metre and the phase of its bars that match the music best.

    Args:
        notes: moved onto the grid.
        metres: those to try, the preferred one first.
        steps_per_quarter: steps of the grid in a quarter note.

    Returns:
        ((numerator, denominator), step of the first bar line, gain): gain is how much
        better it matches than bar lines at step 0, as a share of its own match. None
        for pieces too short to tell.
    """
    least, found = 0.0, None
    for metre in metres:
        match = matches(notes, metre, steps_per_quarter)
        if match is not None and match.max() > least:
            phase = int(match.argmax())
            least = float(match[phase]) * _TRIPLE_MARGIN
            found = (metre, phase, float(1 - match[0] / match[phase]))
    return found


def matches(
    notes: Notes, metre: Metre, steps_per_quarter: int = bars.STEPS_PER_QUARTER
) -> np.ndarray | None:
    """How well bars of a metre match the music, for each step they could begin on.

    Returns:
        float [step of the bar], or None if there are too few bars to tell.
    """
    strong = strengths(metre, steps_per_quarter)
    if strong is None:
        return None
    shape = strong - strong.mean()
    shape /= np.linalg.norm(shape)
    total = np.zeros(len(shape))
    for accents in _accents(notes, steps_per_quarter):
        count = len(accents) // len(shape) * len(shape)
        if count < _LEAST_BARS * len(shape) or not accents[:count].any():
            return None
        profile = accents[:count].reshape(-1, len(shape)).mean(axis=0)
        total += profile / profile.mean()
    # Longer bars have more places for the same contrast.
    scale = np.sqrt(len(shape))
    return np.array([np.roll(shape, k) @ total for k in range(len(shape))]) / scale


def _accents(notes: Notes, steps_per_quarter: int) -> Sequence[np.ndarray]:
    """Accents of the notes that begin on each step, and of the bass: float [step]."""
    keep = ~notes.is_drum
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    step = bars.to_steps(notes.start_tick[keep], *grid)
    end = bars.to_steps(notes.end_tick[keep], *grid)
    if not len(step):
        return ()
    length = np.clip(end - step, 1, _LONGEST_QUARTERS * steps_per_quarter)
    begun = np.bincount(step, np.sqrt(length) * notes.velocity[keep] / 127)
    return begun, _bass(step, notes.pitch[keep].astype(np.int64), len(begun))


def _bass(step: np.ndarray, pitch: np.ndarray, count: int) -> np.ndarray:
    """1 where the lowest new note is low and of another pitch class than before."""
    lowest = np.full(count, 128)
    np.minimum.at(lowest, step, pitch)
    sounding = np.flatnonzero(lowest < 128)
    low = sounding[lowest[sounding] <= np.median(lowest[sounding])]
    moved = np.diff(lowest[low] % 12, prepend=-1) != 0
    bass = np.zeros(count)
    bass[low] = np.where(moved, 1.0, _STILL_BASS)
    return bass
