"""A gentle ritardando at the end of a piece.

Rule: over the last two bars the tempo falls, quarter by quarter in equal steps, to
(1 - amount) of itself; the last quarter is the slowest. Notes keep their places on the
grid: reading the file back along its tempo map gives the same steps.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from note_seq import NoteSequence

NUM_BARS = 2


def quarters(
    bar_position: np.ndarray, steps_per_quarter: int, amount: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tempo changes, and to what.

    Args:
        bar_position: uint8 [step], of the whole piece.
        steps_per_quarter: steps in a quarter note.
        amount: how much slower the last quarter is, 0..1.

    Returns:
        Steps int [quarter], and factors of the tempo float [quarter].

    Example:
        >>> steps, factors = quarters(np.arange(16) % 8, 4, amount=0.2)
        >>> steps.tolist(), factors.round(2).tolist()
        ([0, 4, 8, 12], [0.95, 0.9, 0.85, 0.8])
    """
    lines = np.flatnonzero(bar_position == 0)
    first = int(lines[-NUM_BARS:][0]) if len(lines) else 0
    steps = np.arange(first, len(bar_position), steps_per_quarter)
    return steps, 1.0 - amount * np.arange(1, len(steps) + 1) / max(len(steps), 1)


def apply(
    sequence: "NoteSequence",
    bar_position: np.ndarray,
    steps_per_quarter: int,
    amount: float,
) -> None:
    """Slows down a sequence of one tempo, in place.

    Args:
        sequence: with one tempo, at 0, and total_time.
        bar_position: uint8 [step], of the whole piece.
        steps_per_quarter: steps in a quarter note.
        amount: how much slower the last quarter is, 0..1.
    """
    if amount and len(bar_position):
        steps, factors = quarters(bar_position, steps_per_quarter, amount)
        _stretch(sequence, steps * sequence.total_time / len(bar_position), factors)


def _stretch(sequence: "NoteSequence", starts: np.ndarray, factors: np.ndarray) -> None:
    """Multiplies the tempo by factors from some seconds on, ascending."""
    old = np.append(starts, sequence.total_time)
    new = starts[0] + np.append(0.0, np.cumsum(np.diff(old) / factors))

    def moved(seconds: float) -> float:
        if seconds <= old[0]:
            return seconds
        return float(np.interp(seconds, old, new))

    for note in sequence.notes:
        note.start_time, note.end_time = moved(note.start_time), moved(note.end_time)
    for event in (*sequence.time_signatures, *sequence.text_annotations):
        event.time = moved(event.time)
    qpm = sequence.tempos[0].qpm
    for start, factor in zip(new[:-1], factors, strict=True):
        if start > 0:
            sequence.tempos.add(time=float(start), qpm=qpm * factor)
        else:
            sequence.tempos[0].qpm = qpm * factor
    sequence.total_time = moved(sequence.total_time)
