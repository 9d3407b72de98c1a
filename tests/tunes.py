"""Small pieces written by hand for the tests of metrics."""

import numpy as np

from poph_tf.data import matrices


def piece(*notes, steps=32, bar_steps=16):
    """Makes Matrices of `(start, end, pitch)` in steps."""
    cells = np.zeros((steps, 128, 3), np.uint8)
    for start, end, pitch in notes:
        cells[start, pitch, 1] = start > 0 and cells[start - 1, pitch, 0]
        cells[start:end, pitch, 0] = 1
        cells[start:end, pitch, 2] = 80
    position = np.arange(steps, dtype=np.uint8) % bar_steps
    return matrices.Matrices(cells, position)


def tune(pitches, length=4, at=0):
    """Makes a voice of consecutive notes of equal length."""
    return [(at + k * length, at + (k + 1) * length, p) for k, p in enumerate(pitches)]


def tune_piece(pitches, length=4):
    return piece(*tune(pitches, length), steps=length * len(pitches))
