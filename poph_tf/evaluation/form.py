"""What comes back in a piece: figures and bars.

Conventions:
    - The melody is the highest pitch struck at each onset.
    - A figure is a run of four notes of the melody: its intervals in semitones and the
      steps from each onset to the next. A transposed figure is the same figure; one
      note struck again and again is none.
    - Two bars resemble each other if their onsets, as (step in the bar, pitch class),
      overlap by `RESEMBLING` (Jaccard: common through all).

Sources: n-grams of intervals and durations as in Conklin, "Representation and Discovery
of Vertical Patterns in Music" (2002); bar similarity as in Wu and Yang, "The Jazz
Transformer on the Front Line", ISMIR 2020.
"""

import collections
import itertools

import numpy as np

from poph_tf.data.matrices import Matrices, onsets
from poph_tf.evaluation.measures import bars

FIGURE_NOTES = 4
RESEMBLING = 0.7
_NAN = float("nan")


def melody(piece: Matrices) -> list[tuple[int, int]]:
    """The (step, pitch) of the highest note struck at each onset."""
    struck = onsets(piece.cells) > 0
    steps = np.flatnonzero(struck.any(axis=1))
    highest = struck.shape[1] - 1 - struck[steps, ::-1].argmax(axis=1)
    return list(zip(steps.tolist(), highest.tolist(), strict=True))


def figures(piece: Matrices) -> list[tuple[tuple[int, int], ...]]:
    """The figures of the melody, each as (interval, steps) of its moves."""
    moves = [
        (after[1] - before[1], after[0] - before[0])
        for before, after in itertools.pairwise(melody(piece))
    ]
    length = FIGURE_NOTES - 1
    runs = [tuple(moves[k : k + length]) for k in range(len(moves) - length + 1)]
    return [run for run in runs if any(interval for interval, _ in run)]


def returning_figures(piece: Matrices) -> float:
    """Share of the figures that occur more than once in the piece."""
    found = figures(piece)
    counts = collections.Counter(found)
    return float(np.mean([counts[f] > 1 for f in found])) if found else _NAN


def resembling_bars(piece: Matrices) -> float:
    """Share of the bars, the first left out, that resemble an earlier bar."""
    struck = onsets(piece.cells) > 0
    notes = [
        {(step, pitch % 12) for step, pitch in np.argwhere(struck[start:stop]).tolist()}
        for start, stop in bars(piece)
    ]
    resembles = [
        any(len(bar & old) >= RESEMBLING * len(bar | old) for old in notes[:k])
        for k, bar in enumerate(notes)
        if k and bar
    ]
    return float(np.mean(resembles)) if resembles else _NAN


MEASURES = (returning_figures, resembling_bars)
