"""What a piece is known by: hashes of its onsets, and of all its short passages.

`exact` is equal for pieces with the same onsets on the grid, whatever the tempo, the
transposition and the instruments.

`sketch` recognizes a composition in another performance, arrangement or excerpt. Onsets
within 45 ms are one chord. A passage (shingle) is a few successive chords, as

- the intervals of the lowest and of the highest notes, whatever their octaves;
- the intervals of all notes, from the lowest of a chord to the highest;
- the pitch classes of the chords, relative to the first.

None depends on tempo or transposition. Of the hashes of all passages those below a
limit are kept: the same ones in every piece, so that the share that two sketches have
in common is the share that the pieces have in common.

Source: min-wise hashing with a limit instead of a number ("FracMinHash", Irber et al.
2022, doi:10.1101/2022.01.11.475838).
"""

import hashlib

import numpy as np

# An eighth of all hashes (uint32) is kept, but so many at least.
SAMPLED = 2**32 // 8
LEAST = 512
_CHORD_SECONDS = 0.045
_INTERVALS = 7
_CHORDS = 5
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _turned(sets: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Sets of pitch classes, int of 12 bits, transposed up by so many semitones."""
    return (sets << turns | sets >> (12 - turns)) & 0xFFF


# int64 [set of pitch classes]: the transposition that gives the smallest number.
_TURNS = _turned(np.arange(2**12)[:, None], np.arange(12)).argmin(1)


def exact(start: np.ndarray, pitch: np.ndarray) -> bytes:
    """SHA-256 of the onsets, whatever the tempo, transposition and instruments.

    Args:
        start: int [note], steps.
        pitch: int [note]; notes are in the order of pitch, then of start.
    """
    table = np.stack([start, pitch]).astype("<i4")
    table -= table.min(axis=1, keepdims=True) if len(start) else 0
    return hashlib.sha256(table.tobytes()).digest()


def sketch(seconds: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, int]:
    """The sampled hashes of the passages of a piece.

    Args:
        seconds: float [note], onsets in any order.
        pitch: int [note].

    Returns:
        uint32 [hash], ascending; the number of different passages before sampling.
    """
    hashes = np.sort(np.concatenate(_passages(seconds, pitch)))
    hashes = hashes[np.diff(hashes, prepend=-1) != 0]
    count = int(np.searchsorted(hashes, SAMPLED))
    return hashes[: max(count, LEAST)], len(hashes)


def share(sketched: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The share of hashes below the limit of each sketch.

    Args:
        sketched: int [piece], hashes kept.
        total: int [piece], passages.
    """
    sampled = np.maximum(sketched / np.maximum(total, 1), SAMPLED / 2**32)
    return np.where(sketched == total, 1.0, sampled)


def _passages(seconds: np.ndarray, pitch: np.ndarray) -> list[np.ndarray]:
    """The hashes of all passages, by kind; uint32 [passage] of each."""
    chord, pitch = _chords(seconds, pitch)
    first = np.diff(chord, prepend=-1) > 0
    last = np.roll(first, -1)
    low, high = (np.diff(pitch[at]) % 12 for at in (first, last))
    return [
        _hashed(low, _INTERVALS, 1),
        _hashed(high, _INTERVALS, 2),
        _hashed(np.diff(pitch) % 256, _INTERVALS, 3),
        _hashed_chords(chord, pitch),
    ]


def _chords(seconds: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of chords and pitches [note], in the order of chord, then of pitch."""
    times = np.sort(seconds)
    following = np.searchsorted(times, times + _CHORD_SECONDS, side="right").tolist()
    first, at = [], 0
    while at < len(following):
        first.append(at)
        at = following[at]
    begins = times[first]
    chord = np.searchsorted(begins, seconds, side="right") - 1
    order = np.lexsort((pitch, chord))
    return chord[order], pitch[order].astype(np.int64)


def _hashed(values: np.ndarray, length: int, kind: int) -> np.ndarray:
    """Hashes of all runs of `length` numbers [value]."""
    if len(values) < length:
        return np.zeros(0, np.uint32)
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    return _hashed_rows(windows, kind)


def _hashed_chords(chord: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Hashes of runs of different sets of pitch classes."""
    sets = np.zeros(chord[-1] + 1 if len(chord) else 0, np.int64)
    np.bitwise_or.at(sets, chord, 1 << (pitch % 12))
    sets = sets[np.diff(sets, prepend=0) != 0]
    if len(sets) < _CHORDS:
        return np.zeros(0, np.uint32)
    windows = np.lib.stride_tricks.sliding_window_view(sets, _CHORDS)
    return _hashed_rows(_turned(windows, _TURNS[windows[:, :1]]), 4)


def _hashed_rows(rows: np.ndarray, kind: int) -> np.ndarray:
    """uint32 [row]: hashes of int64 [row, number]."""
    state = np.full(len(rows), kind, np.uint64)
    for column in rows.T.astype(np.uint64):
        state = (state ^ column) * _MULTIPLIER
        state ^= state >> np.uint64(29)
    return (state >> np.uint64(32)).astype(np.uint32)
