"""Notes in ticks -> notes on the grid, and the bits of a record made of them.

A note lies on the grid as (start, end, pitch, velocity), steps and MIDI numbers: one
note for each step and pitch, each ended by the next of its pitch, ordered by pitch,
then by start. A record needs no more than these; `data/matrices.py` makes cells of them.

Records are made by the hundred thousand, so `place` and `pack` have two forms that
give the same: whole-array numpy, and loops that numba makes machine code of, which
pay once there are many files.
"""

import dataclasses
import functools

import numpy as np

from poph_tf.data import bars
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError

NUM_PITCHES = 128
_PITCH_BYTES = NUM_PITCHES // 8
# A day of music and more is a slip in a file; its cells alone would take 384 MB.
MOST_STEPS = 1_000_000
# The loops count notes by step; longer pieces (there is no reason for any) are sorted.
_MOST_COUNTED_STEPS = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """A piece on the grid, note by note.

    Args:
        start, end: int64 [note], steps.
        pitch, velocity: uint8 [note].
        bar_position: uint8 [time]. Steps since the last bar line, at most 255.
        tempo_qpm: float. Mean tempo, quarter notes a minute.
        steps_per_quarter: int.
        time_signatures: tuple of (step, numerator, denominator).
        title: str.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    bar_position: np.ndarray
    tempo_qpm: float
    steps_per_quarter: int
    time_signatures: tuple
    title: str = ""

    def __len__(self):
        """Steps."""
        return len(self.bar_position)


def place(
    notes, steps_per_quarter=bars.STEPS_PER_QUARTER, *, drums=False, sustain=False,
    max_steps=MOST_STEPS, compiled=False,
):  # fmt: skip
    """Puts notes in ticks on the grid.

    Args:
        notes: notes.Notes.
        steps_per_quarter: int.
        drums: bool. Keep the notes of drum kits.
        sustain: bool. Let the sustain pedal lengthen notes.
        max_steps: int. The longest piece to allow.
        compiled: bool. Use machine code: worth its start for many files.

    Returns:
        Placed.

    Raises:
        InputError: If the piece is longer than `max_steps`.
    """
    if sustain:
        notes = notes_lib.sustained(notes)
    if not drums:
        notes = notes_lib.select(notes, ~notes.is_drum)
    start, end, pitch, velocity = _on_grid(notes, steps_per_quarter, compiled)
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    length = int(end.max(initial=0))
    if notes.length_tick:
        length = max(length, int(bars.to_steps(notes.length_tick, *grid)))
    if length > max_steps:
        raise InputError(f"longer than {max_steps} steps")
    return Placed(
        start=start,
        end=end,
        pitch=pitch,
        velocity=velocity,
        bar_position=bars.bar_positions(notes, length, steps_per_quarter),
        tempo_qpm=bars.mean_tempo(notes, length, steps_per_quarter),
        steps_per_quarter=steps_per_quarter,
        time_signatures=bars.signatures_in_steps(notes, length, steps_per_quarter),
        title=notes.title,
    )


def _on_grid(notes, steps_per_quarter, compiled):
    """start, end int64, pitch, velocity uint8, all [note], by pitch, then by start."""
    code = machine_code() if compiled else None
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    if code:
        out = np.empty((4, len(notes)), np.int64)
        columns = (notes.start_tick, notes.end_tick, notes.pitch, notes.velocity)
        count = code.lay(*columns, *grid, out)
        if count >= 0:
            start, end, pitch, velocity = out[:, :count]
            return start, end, pitch.astype(np.uint8), velocity.astype(np.uint8)
    start = bars.to_steps(notes.start_tick, *grid)
    end = np.maximum(bars.to_steps(notes.end_tick, *grid), start + 1)
    return _merged(start, end, notes.pitch, notes.velocity)


def _merged(start, end, pitch, velocity):
    """One note per step and pitch, each ended by the next of its pitch."""
    if not len(start):
        return start, end, pitch, velocity
    # One number per (pitch, start), so that a single sort does.
    key = pitch.astype(np.int64) << 40 | start
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    end = np.maximum.reduceat(end[order], first)
    velocity = np.maximum.reduceat(velocity[order], first)
    start, pitch = start[order][first], pitch[order][first]
    same = pitch[1:] == pitch[:-1]
    end[:-1][same] = np.minimum(end[:-1], start[1:])[same]
    return start, end, pitch, velocity


def planes(placed):
    """uint8 [channel, time, pitch]: play, replay and volume of a Placed."""
    planes = np.zeros((3, len(placed), NUM_PITCHES), np.uint8)
    start, end, pitch = placed.start, placed.end, placed.pitch
    if not len(start):
        return planes
    steps = end - start
    # Every (note, step) pair in one array: no loop over notes.
    first = np.repeat(np.cumsum(steps) - steps - start, steps)
    time = np.arange(steps.sum()) - first
    place = time * NUM_PITCHES + np.repeat(pitch, steps)
    planes[0].reshape(-1)[place] = 1
    planes[2].reshape(-1)[place] = np.repeat(placed.velocity, steps)
    struck = (pitch[1:] == pitch[:-1]) & (end[:-1] == start[1:])
    planes[1, start[1:][struck], pitch[1:][struck]] = 1
    return planes


def pack(placed, *, compiled=False):
    """The bits of a record.

    Args:
        placed: Placed.
        compiled: bool. Use machine code: worth its start for many files.

    Returns:
        play, replay: bytes, bits of [time, pitch], eight pitches a byte, first high;
        volume: bytes, one for each sounding cell, by step, then by pitch.
    """
    code = machine_code() if compiled else None
    if not code:
        return packed_planes(*planes(placed))
    bits = np.zeros((2, len(placed), _PITCH_BYTES), np.uint8)
    volume = np.empty(int((placed.end - placed.start).sum()), np.uint8)
    notes = (placed.start, placed.end, placed.pitch, placed.velocity)
    code.pack(*notes, bits, volume)
    return bits[0].tobytes(), bits[1].tobytes(), volume.tobytes()


def packed_planes(play, replay, volume):
    """As `pack`, of uint8 [time, pitch] each; play and replay 0 or 1."""
    play, replay = np.ascontiguousarray(play), np.ascontiguousarray(replay)
    bits = (np.packbits(plane, axis=-1).tobytes() for plane in (play, replay))
    return (*bits, volume[play.view(bool)].tobytes())


def lay(start_tick, end_tick, pitch, velocity, per_quarter, ticks_per_quarter, out):
    """Loop form of `_on_grid`.

    Args:
        start_tick, end_tick, pitch, velocity: [note].
        per_quarter, ticks_per_quarter: int. Steps and ticks in a quarter.
        out: int64 [4, note]. Is filled with start, end, pitch, velocity.

    Returns:
        the number of notes in `out`; -1 if the piece is too long to count by steps.
    """
    count = len(start_tick)
    starts, ends = np.empty(count, np.int64), np.empty(count, np.int64)
    longest = 0
    for k in range(count):
        # The nearest step, halves up (bars.to_steps).
        starts[k] = (2 * start_tick[k] * per_quarter + ticks_per_quarter) // (
            2 * ticks_per_quarter
        )
        ends[k] = (2 * end_tick[k] * per_quarter + ticks_per_quarter) // (
            2 * ticks_per_quarter
        )
        ends[k] = max(ends[k], starts[k] + 1)
        if starts[k] < 0:
            return -1
        longest = max(longest, starts[k])
    if longest > _MOST_COUNTED_STEPS:
        return -1

    # Notes by start, then by pitch: each time as many places as there are of a kind.
    places = np.zeros(longest + 2, np.int64)
    for k in range(count):
        places[starts[k] + 1] += 1
    for step in range(longest + 1):
        places[step + 1] += places[step]
    by_start = np.empty(count, np.int64)
    for k in range(count):
        by_start[places[starts[k]]] = k
        places[starts[k]] += 1
    # As many as a uint8 tells apart, so that no pitch can lead out of bounds.
    places = np.zeros(257, np.int64)
    for k in range(count):
        places[pitch[k] + 1] += 1
    for number in range(256):
        places[number + 1] += places[number]
    order = np.empty(count, np.int64)
    for k in by_start:
        order[places[pitch[k]]] = k
        places[pitch[k]] += 1

    last = -1
    for k in order:
        if last >= 0 and out[2, last] == pitch[k]:
            if out[0, last] == starts[k]:
                out[1, last] = max(out[1, last], ends[k])
                out[3, last] = max(out[3, last], velocity[k])
                continue
            out[1, last] = min(out[1, last], starts[k])
        last += 1
        out[0, last], out[1, last] = starts[k], ends[k]
        out[2, last], out[3, last] = pitch[k], velocity[k]
    return last + 1


def fill(start, end, pitch, velocity, bits, volume):
    """Loop form of `pack`.

    Args:
        start, end, pitch, velocity: [note], as Placed has them.
        bits: uint8 [2, time, 16], zeros. Is filled with play and replay.
        volume: uint8 [sounding cell]. Is filled.
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
            # Notes come by pitch: so do those of a step.
            volume[places[step]] = velocity[k]
            places[step] += 1
        if k and pitch[k - 1] == pitch[k] and end[k - 1] == start[k]:
            bits[1, start[k], octet] |= bit


@dataclasses.dataclass(frozen=True)
class _MachineCode:
    """`lay` and `fill`, compiled."""

    lay: object
    pack: object


@functools.cache
def machine_code():
    """The loops as machine code; None where numba is not to be had."""
    from poph_tf.data import numba_utils

    lay_code, fill_code = numba_utils.compiled(lay), numba_utils.compiled(fill)
    if lay_code is None:
        return None
    return _MachineCode(lay_code, fill_code)
