"""Quantization: notes in ticks -> notes on the grid, and the bits of a record.

On the grid a note is (start, end, pitch, velocity), in steps and MIDI numbers: one note
for each start and pitch, ended by the next of its pitch, ordered by pitch, then by
start. A record needs no more than these; `data/matrices.py` makes cells from them.

Records are made by the hundred thousand, so `quantize` and `pack` have two forms with
the same results: whole-array numpy, and the loops of `quantization_loops`, compiled by
numba, which pay off for many files.
"""

import dataclasses

import numpy as np

from poph_tf.data import bars, quantization_loops
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError

NUM_PITCHES = 128
# More than a day of music is a mistake in a file; its cells alone would take 384 MB.
MAX_STEPS = 1_000_000
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizedNotes:
    """A piece on the grid, note by note.

    Attributes:
        start, end: int64 [note], steps.
        pitch, velocity: uint8 [note].
        bar_position: uint8 [time]. Steps since the last bar line, at most 255.
        tempo_qpm: mean tempo, quarter notes per minute.
        steps_per_quarter: steps in a quarter note.
        time_signatures: (step, numerator, denominator) of each change.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    bar_position: np.ndarray
    tempo_qpm: float
    steps_per_quarter: int
    time_signatures: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.bar_position)


def between(piece: QuantizedNotes, start: int, stop: int) -> QuantizedNotes:
    """The steps from `start` to `stop` of a piece; its notes must lie within."""
    signatures = bars.signatures_between(piece.time_signatures, start, stop)
    return dataclasses.replace(
        piece,
        start=piece.start - start,
        end=piece.end - start,
        bar_position=piece.bar_position[start:stop],
        time_signatures=signatures,
    )


def quantize(
    notes: notes_lib.Notes,
    steps_per_quarter: int = bars.STEPS_PER_QUARTER,
    *,
    drums: bool = False,
    sustain: bool = False,
    max_steps: int = MAX_STEPS,
    compiled: bool = False,
) -> QuantizedNotes:
    """Puts notes in ticks on the grid.

    Args:
        notes: the notes of a piece.
        steps_per_quarter: steps in a quarter note.
        drums: keep the notes of drum kits.
        sustain: let the sustain pedal lengthen notes.
        max_steps: the longest piece allowed.
        compiled: use machine code, which pays off for many files.

    Raises:
        InputError: If the piece is longer than `max_steps`.
    """
    notes = notes_lib.sustained(notes) if sustain else notes
    notes = notes if drums else notes_lib.select(notes, ~notes.is_drum)
    grid = (steps_per_quarter, notes.ticks_per_quarter)
    columns = _on_grid(notes, *grid, compiled)
    length = int(columns[1].max(initial=0))
    if notes.length_tick:
        length = max(length, int(bars.to_steps(notes.length_tick, *grid)))
    if length > max_steps:
        raise InputError(f"longer than {max_steps} steps")
    return QuantizedNotes(
        *columns,
        bar_position=bars.bar_positions(notes, length, steps_per_quarter),
        tempo_qpm=bars.mean_tempo(notes, length, steps_per_quarter),
        steps_per_quarter=steps_per_quarter,
        time_signatures=bars.to_step_signatures(notes.time_signatures, length, *grid),
    )


def _on_grid(
    notes: notes_lib.Notes,
    steps_per_quarter: int,
    ticks_per_quarter: int,
    compiled: bool,
) -> Columns:
    """start, end int64, pitch, velocity uint8, all [note], by pitch, then by start."""
    loops = quantization_loops.compiled() if compiled else None
    grid = (steps_per_quarter, ticks_per_quarter)
    if loops:
        out = np.empty((4, len(notes)), np.int64)
        columns = (notes.start_tick, notes.end_tick, notes.pitch, notes.velocity)
        count = loops.quantize(*columns, *grid, out)
        if count >= 0:
            start, end, pitch, velocity = out[:, :count]
            return start, end, pitch.astype(np.uint8), velocity.astype(np.uint8)
    start = bars.to_steps(notes.start_tick, *grid)
    end = np.maximum(bars.to_steps(notes.end_tick, *grid), start + 1)
    if not len(start):
        return start, end, notes.pitch, notes.velocity
    return _merged(start, end, notes.pitch, notes.velocity)


def _merged(
    start: np.ndarray, end: np.ndarray, pitch: np.ndarray, velocity: np.ndarray
) -> Columns:
    """One note per step and pitch; a pitch sounds while any of its notes does."""
    # One number per (pitch, start), so that a single sort is enough.
    key = pitch.astype(np.int64) << 40 | start
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    end = np.maximum.reduceat(end[order], first)
    velocity = np.maximum.reduceat(velocity[order], first)
    start, pitch = start[order][first], pitch[order][first]
    # The latest end so far of each pitch, in one pass over all.
    above = pitch.astype(np.int64) << 44
    end = np.maximum.accumulate(end + above) - above
    same = pitch[1:] == pitch[:-1]
    end[:-1][same] = np.minimum(end[:-1], start[1:])[same]
    return start, end, pitch, velocity


def cells(piece: QuantizedNotes) -> np.ndarray:
    """uint8 [time, pitch, 3]: play, replay and volume of each cell.

    Each channel is a plane of its own in memory: most operations read one.
    """
    planes = np.zeros((3, len(piece), NUM_PITCHES), np.uint8)
    start, end, pitch = piece.start, piece.end, piece.pitch
    steps = end - start
    # Every (note, step) pair in one array, without a loop over notes.
    first = np.repeat(np.cumsum(steps) - steps - start, steps)
    time = np.arange(steps.sum()) - first
    place = time * NUM_PITCHES + np.repeat(pitch, steps)
    planes[0].reshape(-1)[place] = 1
    planes[2].reshape(-1)[place] = np.repeat(piece.velocity, steps)
    struck = (pitch[1:] == pitch[:-1]) & (end[:-1] == start[1:])
    planes[1, start[1:][struck], pitch[1:][struck]] = 1
    return planes.transpose(1, 2, 0)


def pack(
    piece: QuantizedNotes, *, compiled: bool = False
) -> tuple[bytes, bytes, bytes]:
    """The bits of a record.

    Args:
        piece: the notes on the grid.
        compiled: use machine code, which pays off for many files.

    Returns:
        play, replay: bits of [time, pitch], eight per byte, high bit first;
        volume: a byte for each sounding cell, by step, then by pitch.
    """
    loops = quantization_loops.compiled() if compiled else None
    if not loops:
        return pack_cells(cells(piece))
    bits = np.zeros((2, len(piece), NUM_PITCHES // 8), np.uint8)
    volume = np.empty(int((piece.end - piece.start).sum()), np.uint8)
    loops.pack(piece.start, piece.end, piece.pitch, piece.velocity, bits, volume)
    return bits[0].tobytes(), bits[1].tobytes(), volume.tobytes()


def pack_cells(cells: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """Like `pack`, for canonical cells uint8 [time, pitch, 3]."""
    play, replay = (np.ascontiguousarray(cells[..., channel]) for channel in (0, 1))
    bits = (np.packbits(plane, axis=-1).tobytes() for plane in (play, replay))
    return (*bits, cells[..., 2][play.view(bool)].tobytes())
