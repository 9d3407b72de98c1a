"""The loop forms of quantization, as code that numba can compile.

Notes are ordered by start and then by pitch with a counting sort, which is faster than
a general one.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from poph_tf.data import numba_utils

# Longer pieces (there is no musical reason for any) are left to numpy.
MAX_COUNTED_STEPS = 1_000_000


def to_step(tick: int, steps_per_quarter: int, ticks_per_quarter: int) -> int:
    """The nearest step, halves up (as `bars.to_steps`)."""
    doubled = 2 * tick * steps_per_quarter
    return (doubled + ticks_per_quarter) // (2 * ticks_per_quarter)


def ordered_by(keys: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
    """Orders items by their keys; equal keys keep their order (a counting sort).

    Args:
        keys: [item], 0..size-1.
        order: int64 [item], the order so far.
        size: number of possible keys.

    Returns:
        int64 [item].
    """
    places = np.zeros(size + 1, np.int64)
    for key in keys:
        places[key + 1] += 1
    for key in range(size):
        places[key + 1] += places[key]
    ordered = np.empty_like(order)
    for item in order:
        ordered[places[keys[item]]] = item
        places[keys[item]] += 1
    return ordered


def quantize(
    start_tick: np.ndarray, end_tick: np.ndarray, pitch: np.ndarray,
    velocity: np.ndarray, steps_per_quarter: int, ticks_per_quarter: int,
    out: np.ndarray,
) -> int:  # fmt: skip
    """Puts notes on the grid.

    All arrays are [note], times int64, pitch and velocity uint8; `out` int64 [4, note]
    is filled with start, end, pitch, velocity, by pitch, then by start.

    Returns:
        The number of notes in `out`; -1 if the piece is too long to count by steps.
    """
    count = len(start_tick)
    start, end = np.empty(count, np.int64), np.empty(count, np.int64)
    longest = 0
    for k in range(count):
        start[k] = to_step(start_tick[k], steps_per_quarter, ticks_per_quarter)
        end[k] = to_step(end_tick[k], steps_per_quarter, ticks_per_quarter)
        end[k] = max(end[k], start[k] + 1)
        if not 0 <= start[k] <= MAX_COUNTED_STEPS:
            return -1
        longest = max(longest, start[k])
    order = ordered_by(start, np.arange(count), longest + 1)
    # As many keys as a uint8 has values, so that no pitch can be out of bounds.
    order = ordered_by(pitch, order, 256)
    return merge(order, start, end, pitch, velocity, out)


def merge(
    order: np.ndarray, start: np.ndarray, end: np.ndarray, pitch: np.ndarray,
    velocity: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    """Makes one note per step and pitch; a pitch sounds while any of its notes does."""
    last = -1
    for k in order:
        reach = end[k]
        if last >= 0 and out[2, last] == pitch[k]:
            reach = max(out[1, last], reach)
            if out[0, last] == start[k]:
                out[1, last] = reach
                out[3, last] = max(out[3, last], velocity[k])
                continue
            out[1, last] = min(out[1, last], start[k])
        last += 1
        out[0, last], out[1, last] = start[k], reach
        out[2, last], out[3, last] = pitch[k], velocity[k]
    return last + 1


def pack(
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    velocity: np.ndarray,
    bits: np.ndarray,
    volume: np.ndarray,
) -> None:
    """Packs notes on the grid into the bits of a record.

    The notes are those of `QuantizedNotes`, [note] each. `bits` uint8 [2, time, 16]
    must be zero and is filled with play and replay; `volume` uint8 [sounding cell] is
    filled too.
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
            # Notes are ordered by pitch, and so are those of a step.
            volume[places[step]] = velocity[k]
            places[step] += 1
        if k and pitch[k - 1] == pitch[k] and end[k - 1] == start[k]:
            bits[1, start[k], octet] |= bit


@dataclasses.dataclass(frozen=True)
class Loops:
    """`quantize` and `pack` as machine code."""

    quantize: Callable[..., int]
    pack: Callable[..., None]


@functools.cache
def compiled() -> Loops | None:
    """The loops as machine code; None when numba is unavailable."""
    quantize_code = numba_utils.compiled(quantize, to_step, ordered_by, merge)
    return Loops(quantize_code, numba_utils.compiled(pack)) if quantize_code else None
