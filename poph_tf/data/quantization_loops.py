"""The loop form of packing, as code that numba can compile."""

import functools
from collections.abc import Callable

import numpy as np

from poph_tf.data import numba_utils


def pack(
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    velocity: np.ndarray,
    bits: np.ndarray,
    volume: np.ndarray,
) -> None:
    """Packs notes on the grid into the bits of a record.

    The notes are those of `QuantizedNotes`, [note] each. `bits` uint8 [2, time, 16] is
    zero and is filled with play and replay, `volume` uint8 [sounding cell] as well.
    """
    places = np.zeros(bits.shape[1] + 1, np.int64)
    for k in range(len(start)):
        for step in range(start[k], end[k]):
            places[step + 1] += 1
    for step in range(bits.shape[1]):
        places[step + 1] += places[step]
    for k in range(len(start)):
        octet, bit = pitch[k] >> 3, np.uint8(128 >> (pitch[k] & 7))
        for step in range(start[k], end[k]):
            bits[0, step, octet] |= bit
            # Notes come by pitch, and so do those of a step.
            volume[places[step]] = velocity[k]
            places[step] += 1
        if k and pitch[k - 1] == pitch[k] and end[k - 1] == start[k]:
            bits[1, start[k], octet] |= bit


@functools.cache
def compiled() -> Callable[..., None] | None:
    """`pack` as machine code; None when numba is unavailable."""
    return numba_utils.compiled(pack)
