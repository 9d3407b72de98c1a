"""Finds the bar in music whose file does not say where it lies.

Every phase of a bar, step by step, is held against the music: what begins on a step
(long and loud notes count more) and where the bass moves, both averaged over all bars
at that phase, should lie as the metre's strong and weak places do. The phase with the
best match counts; between three and four in a bar, the better match.

Source: Temperley & Sleator, Modeling Meter and Harmony: A Preference-Rule Approach,
Computer Music Journal 23(1), 1999: their event, length and bass rules. The strengths
are the levels of Lerdahl & Jackendoff, A Generative Theory of Tonal Music, 1983.
"""

import numpy as np

from poph_tf.data import bars

# Metres that are tried where the file names none.
USUAL_METRES = ((4, 4), (3, 4))
# Three in a bar must match this much better: four is far more common.
_TRIPLE_MARGIN = 1.1
_LEAST_BARS = 4
_LONGEST_QUARTERS = 4
# What a bass note counts that does not move, against 1 for one that does.
_STILL_BASS = 0.3


def strengths(metre, steps_per_quarter=bars.STEPS_PER_QUARTER):
    """How strong each place of a bar is: the number of metrical levels it lies on.

    Args:
        metre: (numerator, denominator).
        steps_per_quarter: int.

    Returns:
        float [step of the bar]: of 4/4 in sixteenths 4 0 1 0 2 0 1 0 3 0 1 0 2 0 1 0;
        None where a bar or a beat is no whole number of steps.
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
    return sum((place % period == 0).astype(float) for period in sorted(periods))


def find(notes, metres=USUAL_METRES, steps_per_quarter=bars.STEPS_PER_QUARTER):
    """The metre and the phase of its bars that match the music best.

    Args:
        notes: notes.Notes, moved onto the grid.
        metres: tuple of (numerator, denominator), the first preferred.
        steps_per_quarter: int.

    Returns:
        ((numerator, denominator), step of the first bar line, gain): gain is how much
        better it matches than bar lines at step 0 do, as a share of its own match.
        None for pieces too short to tell.
    """
    best = None
    for metre in metres:
        match = matches(notes, metre, steps_per_quarter)
        if match is None or match.max() <= 0:
            continue
        phase = int(match.argmax())
        if best is None or match[phase] > best[0] * _TRIPLE_MARGIN:
            gain = float(1 - match[0] / match[phase])
            best = (match[phase], (metre, phase, gain))
    return best[1] if best else None


def matches(notes, metre, steps_per_quarter=bars.STEPS_PER_QUARTER):
    """How well bars of a metre match the music, for each step they could begin on.

    Returns:
        float [step of the bar], or None where there are too few bars to tell.
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


def _accents(notes, steps_per_quarter):
    """What begins on each step, and the bass: two float [step]."""
    keep = ~notes.is_drum
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    step = bars.to_steps(notes.start_tick[keep], *grid)
    end = bars.to_steps(notes.end_tick[keep], *grid)
    if not len(step):
        return ()
    length = np.clip(end - step, 1, _LONGEST_QUARTERS * steps_per_quarter)
    begun = np.bincount(step, np.sqrt(length) * notes.velocity[keep] / 127)
    return begun, _bass(step, notes.pitch[keep].astype(np.int64), len(begun))


def _bass(step, pitch, count):
    """1 on steps whose lowest new note is low and not the pitch class before it."""
    lowest = np.full(count, 128)
    np.minimum.at(lowest, step, pitch)
    sounding = np.flatnonzero(lowest < 128)
    low = sounding[lowest[sounding] <= np.median(lowest[sounding])]
    moved = np.diff(lowest[low] % 12, prepend=-1) != 0
    bass = np.zeros(count)
    bass[low] = np.where(moved, 1.0, _STILL_BASS)
    return bass
