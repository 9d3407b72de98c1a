"""What returns in a piece: figures and bars.

Conventions:
    - Only the first 32 bars count, since longer pieces repeat more.
    - The melody is the top voice: the notes that are the highest ones sounding when
      they begin.
    - A figure is a run of four notes of the melody: its intervals in semitones and the
      steps from each onset to the next. A transposed figure is the same figure; a
      repeated single note is not a figure.
    - Two bars resemble each other if their onsets, as (step in the bar, pitch class),
      overlap by `RESEMBLING` (Jaccard index).

Sources: n-grams of intervals and durations as in Conklin, "Representation and Discovery
of Vertical Patterns in Music" (2002); bar similarity as in Wu and Yang, "The Jazz
Transformer on the Front Line", ISMIR 2020.
"""

import numpy as np

from poph_tf.data.matrices import PLAY, Matrices, onsets
from poph_tf.evaluation.measures import bars, mean

FIGURE_NOTES = 4
RESEMBLING = 0.8
MAX_STEPS = 512
_NAN = float("nan")


def melody(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The top voice of cells [time, pitch, channel]: steps and pitches, each [note]."""
    play = cells[..., PLAY] != 0
    highest = play.shape[1] - 1 - play[:, ::-1].argmax(axis=1)
    steps = np.flatnonzero(onsets(cells)[np.arange(len(highest)), highest])
    return steps, highest[steps]


def figures(piece: Matrices) -> list[tuple[tuple[int, int], ...]]:
    """The figures of the melody, each as (interval, steps) of its moves."""
    steps, pitches = melody(piece.cells[:MAX_STEPS])
    moves = list(zip(np.diff(pitches).tolist(), np.diff(steps).tolist(), strict=True))
    length = FIGURE_NOTES - 1
    runs = [tuple(moves[k : k + length]) for k in range(len(moves) - length + 1)]
    return [run for run in runs if any(interval for interval, _ in run)]


def returning_figures(piece: Matrices) -> float:
    """Share of the figures that occurred before in the piece."""
    found = figures(piece)
    return 1 - len(set(found)) / len(found) if found else _NAN


def resembling_bars(piece: Matrices) -> float:
    """Share of the bars after the first that resemble an earlier bar."""
    notes = _notes_by_bar(piece)
    resembles = [
        any(len(bar & old) >= RESEMBLING * len(bar | old) for old in notes[:k])
        for k, bar in enumerate(notes)
        if k and bar
    ]
    return mean(resembles)


def distinct_bars(piece: Matrices) -> float:
    """Share of the bars that do not repeat an earlier bar, in any octave."""
    notes = _notes_by_bar(piece)
    return len(set(map(frozenset, notes))) / len(notes) if notes else _NAN


def _notes_by_bar(piece: Matrices) -> list[set[tuple[int, int]]]:
    """The onsets of each bar, as (step in the bar, pitch class)."""
    struck = onsets(piece.cells)
    return [
        {(step, pitch % 12) for step, pitch in np.argwhere(struck[start:stop]).tolist()}
        for start, stop in bars(piece)
        if start < MAX_STEPS
    ]


MEASURES = (returning_figures, resembling_bars, distinct_bars)
