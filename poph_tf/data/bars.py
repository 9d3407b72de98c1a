"""Time on the grid: steps, bar lines, time signatures and tempo of a piece.

Positions are whole numbers throughout: ticks of the file, then steps. Bar lines follow
the time signatures, each of which begins a bar; without any, the piece is in 4/4. Lines
between steps are rounded to the nearest, halves up.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from poph_tf.data.notes import DEFAULT_QPM, Notes

STEPS_PER_QUARTER = 4
MAX_BAR_POSITION = 255
DEFAULT_TIME_SIGNATURE = (4, 4)
# With larger denominators a beat is shorter than any grid here: a mistake.
MAX_DENOMINATOR = 128
TEMPO_DECIMALS = 3
MIN_QPM = 10.0**-TEMPO_DECIMALS
Signatures = tuple[tuple[int, int, int], ...]


def to_steps(ticks: Any, steps_per_quarter: int, ticks_per_quarter: int) -> np.ndarray:
    """The step nearest to each tick, halves up, in whole numbers.

    Example:
        >>> to_steps([0, 59, 60, 480], steps_per_quarter=4, ticks_per_quarter=480)
        array([0, 0, 1, 4])
    """
    doubled = 2 * np.asarray(ticks, np.int64) * steps_per_quarter
    return (doubled + ticks_per_quarter) // (2 * ticks_per_quarter)


def rounded_tempo(qpm: float) -> float:
    """A tempo rounded to a thousandth, never 0."""
    return max(round(float(qpm), TEMPO_DECIMALS), MIN_QPM)


def mean_tempo(
    notes: Notes, length: int, steps_per_quarter: int = STEPS_PER_QUARTER
) -> float:
    """The tempo that keeps a piece's duration: its quarters divided by its minutes.

    Args:
        notes: the notes of the piece, with its tempi.
        length: its length in steps.
        steps_per_quarter: steps in a quarter note.

    Returns:
        Quarter notes per minute, rounded to a thousandth.
    """
    ticks, qpms = notes.tempo_ticks, notes.tempo_qpms
    if not len(ticks):
        return DEFAULT_QPM
    end = length * notes.ticks_per_quarter / steps_per_quarter
    edges = np.append(ticks, np.inf)
    spans = np.maximum(np.minimum(edges[1:], end) - edges[:-1], 0)
    lead_in = min(float(ticks[0]), end)
    minutes = (spans / qpms).sum() + lead_in / DEFAULT_QPM
    quarters = spans.sum() + lead_in
    # A piece of no length has the tempo of its start.
    qpm = quarters / minutes if minutes > 0 else qpms[ticks <= 0][-1:].sum()
    return rounded_tempo(qpm or DEFAULT_QPM)


def bar_positions(
    notes: Notes, length: int, steps_per_quarter: int = STEPS_PER_QUARTER
) -> np.ndarray:
    """Steps since the last bar line.

    Args:
        notes: the notes of the piece, with its time signatures and bar marks.
        length: its length in steps.
        steps_per_quarter: steps in a quarter note.

    Returns:
        uint8 [time].
    """
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    if len(notes.bar_marks):
        steps = to_steps(notes.bar_marks[:, 0], *grid)
        return _positions(steps, notes.bar_marks[:, 1], length)
    return positions_of(notes.time_signatures, length, *grid)


def positions_of(
    signatures: np.ndarray, length: int, steps_per_quarter: int, ticks_per_quarter: int
) -> np.ndarray:
    """Steps since the last bar line, from time signatures alone.

    A first bar that the next time signature cuts short is an upbeat: it is counted
    back from the bar line that it leads to.

    Args:
        signatures: int64 [change, 3]: tick, numerator, denominator.
        length: steps of the piece.
        steps_per_quarter: steps in a quarter note.
        ticks_per_quarter: ticks in a quarter note.

    Returns:
        uint8 [time].
    """
    grid = (steps_per_quarter, ticks_per_quarter)
    table = _usable(signatures)
    edges = np.append(to_steps(table[:, 0], *grid), length).clip(max=length)
    lines = np.concatenate(
        [_bar_lines(edges[k], edges[k + 1], table[k], *grid) for k in range(len(table))]
    )
    starts = np.zeros(len(lines), np.int64)
    bar = _bar_steps(table[0], steps_per_quarter)
    if len(table) > 1 and 0 < edges[1] < min(bar, length):
        starts[0] = bar - edges[1]
    return _positions(lines, starts, length)


def to_step_signatures(
    signatures: np.ndarray, length: int, steps_per_quarter: int, ticks_per_quarter: int
) -> Signatures:
    """The time signatures of a piece on the grid; of several on a step, the last.

    The arguments are those of `positions_of`.

    Returns:
        (step, numerator, denominator) of each, the first at step 0.
    """
    table = _usable(signatures)
    steps = to_steps(table[:, 0], steps_per_quarter, ticks_per_quarter)
    keep = np.append(steps[1:] != steps[:-1], True) & (steps < max(length, 1))
    return tuple(zip(steps[keep].tolist(), *table[keep, 1:].T.tolist(), strict=True))


def signatures_between(signatures: Signatures, start: int, stop: int) -> Signatures:
    """The time signatures of a range of steps, counted from its start.

    Example:
        >>> signatures_between(((0, 4, 4), (16, 3, 4), (28, 2, 4)), 20, 30)
        ((0, 3, 4), (8, 2, 4))
    """
    before = [s for s in signatures if s[0] <= start]
    after = [s for s in signatures if start < s[0] < stop]
    return tuple((max(step - start, 0), n, d) for step, n, d in before[-1:] + after)


def bar_edges(bar_position: np.ndarray) -> np.ndarray:
    """The first step of each bar, and the end: int [bar + 1].

    Example:
        >>> bar_edges(np.array([2, 3, 0, 1, 2, 3, 0]))  # an upbeat of half a bar
        array([0, 2, 6, 7])
    """
    lines = np.flatnonzero(bar_position == 0)
    return np.unique(np.concatenate([[0], lines, [len(bar_position)]]))


def numbered(bar_position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bar of each step, int [step], and the place of each bar line, int [bar].

    Example:
        >>> bar, lines = numbered(np.array([2, 3, 0, 1, 2, 3, 0]))
        >>> bar.tolist(), lines.tolist()  # an upbeat's line is before the music
        ([0, 0, 1, 1, 1, 1, 2], [-2, 2, 6])
    """
    edges = bar_edges(bar_position)
    lines = edges[:-1] - bar_position[edges[:-1]]
    return np.repeat(np.arange(len(lines)), np.diff(edges)), lines


def guessed(bar_position: np.ndarray, steps_per_quarter: int) -> Signatures:
    """Guesses time signatures from bar positions.

    Args:
        bar_position: uint8 [time].
        steps_per_quarter: steps in a quarter note.

    Returns:
        (step, numerator, denominator) of each, the first at step 0.
    """
    lines = np.flatnonzero(bar_position == 0)
    # The last bar may be cut off: it gets the time signature of the bar before.
    bar_steps = np.diff(lines).tolist()
    upbeat = len(lines) > 0 and lines[0] > 0
    if upbeat:
        # The last step of an upbeat gives the length of its bar.
        first = int(bar_position[lines[0] - 1]) + 1
        bar_steps = [first, *(bar_steps or [first])]
        lines = np.append(0, lines)
    if not bar_steps:
        return ((0, *DEFAULT_TIME_SIGNATURE),)
    changes = np.diff(bar_steps, prepend=-1) != 0
    # Repeating the time signature after an upbeat marks the bar line.
    changes[1:2] |= upbeat
    return tuple(
        (int(lines[k]), *_time_signature(bar_steps[k], steps_per_quarter))
        for k in np.flatnonzero(changes)
    )


def _usable(signatures: np.ndarray) -> np.ndarray:
    """int64 [change, 3]: from tick 0 on, one per tick, without impossible ones."""
    default = np.array([(0, *DEFAULT_TIME_SIGNATURE)], np.int64)
    if not len(signatures):
        return default
    _, numerator, denominator = signatures.T
    good = (numerator > 0) & (denominator > 0) & (denominator <= MAX_DENOMINATOR)
    table = signatures[good]
    table = table[np.append(table[1:, 0] != table[:-1, 0], True)[: len(table)]]
    if not len(table) or table[0, 0] > 0:
        table = np.vstack([default, table])
    return table.astype(np.int64)


def _bar_steps(signature: np.ndarray, steps_per_quarter: int) -> int:
    """Steps of a bar, rounded, at least one."""
    _, numerator, denominator = signature.tolist()
    doubled = 8 * steps_per_quarter * numerator
    return max(1, (doubled + denominator) // (2 * denominator))


def _bar_lines(
    step: int,
    end_step: int,
    signature: np.ndarray,
    steps_per_quarter: int,
    ticks_per_quarter: int,
) -> np.ndarray:
    """int64 [line]: the bar lines of a time signature from `step` to `end_step`."""
    if step >= end_step:
        return np.zeros(0, np.int64)
    tick, numerator, denominator = signature.tolist()
    # In units of 1/denominator ticks a bar is a whole number.
    bar = 4 * ticks_per_quarter * numerator
    ticks = (end_step - step + 1) * ticks_per_quarter * denominator
    count = ticks // (steps_per_quarter * bar) + 2
    places = tick * denominator + np.arange(count, dtype=np.int64) * bar
    lines = to_steps(places, steps_per_quarter, ticks_per_quarter * denominator)
    return lines[lines < end_step]


def _positions(steps: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """uint8 [time]: counts up from `starts` at each of `steps` (ascending)."""
    edges = np.concatenate([[0], np.minimum(steps, length), [length]])
    # The step at which each count would have been 0; of marks on one step the last
    # counts.
    origin = np.concatenate([[0], steps - starts])
    counted = np.arange(length) - np.repeat(origin, edges[1:] - edges[:-1])
    return np.minimum(counted, MAX_BAR_POSITION).astype(np.uint8)


def _time_signature(bar_steps: int, steps_per_quarter: int) -> tuple[int, int]:
    """numerator, denominator of a bar of this many steps, in quarters if possible."""
    quarters = Fraction(bar_steps, steps_per_quarter)
    denominator = 4
    while (quarters * denominator / 4).denominator > 1 and denominator < 64:
        denominator *= 2
    return max(1, round(quarters * denominator / 4)), denominator


def marks(
    bar_position: np.ndarray, steps_per_quarter: int, signatures: np.ndarray
) -> Iterator[tuple[int, int]]:
    """(step, bar position) where time signatures alone would give another position."""
    # One tick per step.
    grid = (steps_per_quarter, steps_per_quarter)
    if np.array_equal(bar_position, positions_of(signatures, len(bar_position), *grid)):
        return
    following = np.minimum(bar_position[:-1].astype(int) + 1, MAX_BAR_POSITION)
    for step in np.flatnonzero(bar_position != np.append(-1, following)):
        yield int(step), int(bar_position[step])
