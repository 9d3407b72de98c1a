"""Spoils real music to validate measures, which must tell it from the original.

bars     the bars of a piece in another order: chords stay, form and keys do not
pitches  the pitches of the notes exchanged among the notes: the rhythm stays
voices   the top voice half a bar late: each voice stays, their harmony does not
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from poph_tf.data import matrices
from poph_tf.data.matrices import Matrices
from poph_tf.evaluation.measures import bars

LATE_STEPS = 8
Notes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def shuffle(piece: Matrices, how: str, seed: int) -> Matrices:
    """A spoilt piece of the same length; `how` is a name in `SHUFFLES`."""
    return SHUFFLES[how](piece, np.random.default_rng(seed))


def _bars(piece: Matrices, random: np.random.Generator) -> Matrices:
    parts = bars(piece)
    order = [parts[k] for k in random.permutation(len(parts))]
    steps = np.concatenate([np.arange(*part) for part in order])
    # A note held over the bar line starts again.
    cells, firsts = piece.cells[steps], np.cumsum([0, *(b - a for a, b in order[:-1])])
    cells[firsts, :, matrices.REPLAY] = cells[firsts, :, matrices.PLAY]
    return _piece(piece, cells)


def _pitches(piece: Matrices, random: np.random.Generator) -> Matrices:
    start, end, pitch, velocity = matrices.spans(piece.cells)
    return _from_notes(piece, (start, end, random.permutation(pitch), velocity))


def _voices(piece: Matrices, _: np.random.Generator) -> Matrices:
    start, end, pitch, velocity = matrices.spans(piece.cells)
    top = piece.play.shape[1] - 1 - piece.play[start, ::-1].argmax(axis=1)
    late = LATE_STEPS * (pitch == top)
    return _from_notes(piece, (start + late, end + late, pitch, velocity))


def _from_notes(piece: Matrices, notes: Notes) -> Matrices:
    """The piece with other notes, by start; what lies beyond its end is left out."""
    cells = np.zeros_like(piece.cells)
    order = np.argsort(notes[0], kind="stable")
    for start, end, pitch, velocity in zip(*(x[order] for x in notes), strict=True):
        cells[start:end, pitch] = (1, 0, velocity)
        cells[start : start + 1, pitch, matrices.REPLAY] = 1
    return _piece(piece, cells)


def _piece(piece: Matrices, cells: np.ndarray) -> Matrices:
    return matrices.canonical(dataclasses.replace(piece, cells=cells, tracks=()))


SHUFFLES: dict[str, Callable[[Matrices, np.random.Generator], Matrices]] = {
    "bars": _bars,
    "pitches": _pitches,
    "voices": _voices,
}
