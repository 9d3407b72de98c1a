"""Time on the grid: steps, bar lines, metres and tempo of a piece.

Positions are whole numbers throughout: ticks of the file, then steps. Bar lines follow
the time signatures, each of which begins a bar; 4/4 holds where none is given. Lines
that fall between steps go to the nearest, halves up.
"""

from fractions import Fraction

import numpy as np

from poph_tf.data import notes as notes_lib

STEPS_PER_QUARTER = 4
MAX_BAR_POSITION = 255
DEFAULT_TIME_SIGNATURE = (4, 4)
# Beyond this a "beat" is shorter than any grid here: such metres are slips.
MAX_DENOMINATOR = 128
TEMPO_DECIMALS = 3
LEAST_QPM = 10.0**-TEMPO_DECIMALS


def to_steps(ticks, steps_per_quarter, ticks_per_quarter):
    """The step nearest to each tick, halves up, in whole numbers."""
    doubled = 2 * np.asarray(ticks, np.int64) * steps_per_quarter
    return (doubled + ticks_per_quarter) // (2 * ticks_per_quarter)


def rounded_tempo(qpm):
    """A tempo to the thousandth, never 0."""
    return max(round(float(qpm), TEMPO_DECIMALS), LEAST_QPM)


def mean_tempo(notes, length, steps_per_quarter=STEPS_PER_QUARTER):
    """Quarters of the piece through its minutes: what keeps its duration.

    Args:
        notes: notes.Notes.
        length: int, steps.

    Returns:
        float, rounded to a thousandth.
    """
    ticks, qpms = notes.tempo_ticks, notes.tempo_qpms
    if not len(ticks):
        return notes_lib.DEFAULT_QPM
    end = length * notes.ticks_per_quarter / steps_per_quarter
    edges = np.append(ticks, np.inf)
    spans = np.maximum(np.minimum(edges[1:], end) - edges[:-1], 0)
    lead_in = min(float(ticks[0]), end)
    minutes = (spans / qpms).sum() + lead_in / notes_lib.DEFAULT_QPM
    quarters = spans.sum() + lead_in
    # Without extent: the tempo in force at the start.
    qpm = quarters / minutes if minutes > 0 else qpms[ticks <= 0][-1:].sum()
    return rounded_tempo(qpm or notes_lib.DEFAULT_QPM)


def bar_positions(notes, length, steps_per_quarter=STEPS_PER_QUARTER):
    """Steps since the last bar line.

    Bar lines that fall between steps go to the nearest. A first bar that the next
    time signature cuts short is an upbeat and counts back from the line it leads to.

    Args:
        notes: notes.Notes.
        length: int, steps.

    Returns:
        uint8 [time].
    """
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    if len(notes.bar_marks):
        steps = to_steps(notes.bar_marks[:, 0], *grid)
        return _positions(steps, notes.bar_marks[:, 1], length)
    table = _usable_signatures(notes)
    edges = np.append(to_steps(table[:, 0], *grid), length).clip(max=length)
    lines = [
        _bar_lines(edges[k], edges[k + 1], table[k], *grid)
        for k in range(len(table))
        if edges[k] < edges[k + 1]
    ]
    lines = np.concatenate(lines) if lines else np.zeros(0, np.int64)
    starts = np.zeros(len(lines), np.int64)
    bar = _bar_steps(table[0], steps_per_quarter)
    if len(table) > 1 and 0 < edges[1] < min(bar, length):
        starts[0] = bar - edges[1]
    return _positions(lines, starts, length)


def signatures_in_steps(notes, length, steps_per_quarter):
    """The metres of a piece on the grid, the last of each step.

    Returns:
        tuple of (step, numerator, denominator), the first at step 0.
    """
    table = _usable_signatures(notes)
    steps = to_steps(table[:, 0], steps_per_quarter, notes.ticks_per_quarter)
    keep = np.append(steps[1:] != steps[:-1], True) & (steps < max(length, 1))
    rows = zip(steps[keep].tolist(), *table[keep, 1:].T.tolist(), strict=True)
    return tuple(rows)


def guessed(bar_position, steps_per_quarter):
    """Guesses time signatures from bar positions.

    Args:
        bar_position: uint8 [time].
        steps_per_quarter: int.

    Returns:
        tuple of (step, numerator, denominator), the first at step 0.
    """
    lines = np.flatnonzero(bar_position == 0)
    # The last bar may be cut off: it goes on in the metre of the one before.
    bar_steps = np.diff(lines).tolist()
    if len(lines) and lines[0] > 0:
        # An upbeat says at its end how long its bar is.
        bar_steps.insert(0, int(bar_position[lines[0] - 1]) + 1)
        lines = np.append(0, lines)
    if not bar_steps:
        return ((0, *DEFAULT_TIME_SIGNATURE),)
    if len(lines) > 1 and bar_position[0] > 0:
        # The metre is said again after an upbeat, which marks the bar line.
        bar_steps[1:] = bar_steps[1:] or bar_steps
        changes = [0, *(np.flatnonzero(np.diff(bar_steps[1:], prepend=-1)) + 1)]
    else:
        changes = np.flatnonzero(np.diff(bar_steps, prepend=-1))
    return tuple(
        (int(lines[k]), *_metre(bar_steps[k], steps_per_quarter)) for k in changes
    )


def _usable_signatures(notes):
    """int64 [change, 3]: a metre from tick 0 on, one per tick, without slips."""
    table = notes.time_signatures
    if not len(table):
        return np.array([(0, *DEFAULT_TIME_SIGNATURE)], np.int64)
    good = (table[:, 1] > 0) & (table[:, 2] > 0) & (table[:, 2] <= MAX_DENOMINATOR)
    table = table[good]
    last_of_tick = np.append(table[1:, 0] != table[:-1, 0], True)[: len(table)]
    table = table[last_of_tick]
    if not len(table) or table[0, 0] > 0:
        table = np.vstack([[(0, *DEFAULT_TIME_SIGNATURE)], table])
    return table.astype(np.int64)


def _bar_steps(signature, steps_per_quarter):
    """Steps of a bar, to the nearest, at least one."""
    _, numerator, denominator = (int(x) for x in signature)
    return max(
        1, (8 * steps_per_quarter * numerator + denominator) // (2 * denominator)
    )


def _bar_lines(step, end_step, signature, steps_per_quarter, ticks_per_quarter):
    """Steps of the bar lines of one time signature, before `end_step`.

    Args:
        step, end_step: int. Where it holds.
        signature: (tick, numerator, denominator).

    Returns:
        int64 [line].
    """
    tick, numerator, denominator = (int(x) for x in signature)
    # In units of 1/denominator ticks a bar is a whole number.
    bar = 4 * ticks_per_quarter * numerator
    count = ((end_step - step + 1) * ticks_per_quarter * denominator) // (
        steps_per_quarter * bar
    ) + 2
    places = tick * denominator + np.arange(count, dtype=np.int64) * bar
    lines = to_steps(places, steps_per_quarter, ticks_per_quarter * denominator)
    return lines[lines < end_step]


def _positions(steps, starts, length):
    """Counts on from each of `steps` (ascending), where the count is `starts`.

    Returns:
        uint8 [time].
    """
    edges = np.concatenate([[0], np.minimum(steps, length), [length]])
    # The step at which the count in force would have been 0; of marks on one step the
    # last holds.
    origin = np.concatenate([[0], steps - starts])
    counted = np.arange(length) - np.repeat(origin, edges[1:] - edges[:-1])
    return np.minimum(counted, MAX_BAR_POSITION).astype(np.uint8)


def _metre(bar_steps, steps_per_quarter):
    """numerator, denominator of a bar of so many steps, in quarters if it can be."""
    quarters = Fraction(bar_steps, steps_per_quarter)
    denominator = 4
    while (quarters * denominator / 4).denominator > 1 and denominator < 64:
        denominator *= 2
    return max(1, round(quarters * denominator / 4)), denominator
