"""Fingerprints of a piece: hashes of its onsets, and of all its short passages.

`exact` is equal for pieces with the same onsets on the grid, whatever the tempo, the
transposition and the instruments.

`sketch` recognizes a composition in another performance, arrangement or excerpt. Onsets
within 45 ms are one chord. A passage (shingle) is a few successive chords, seen as

- the intervals of the lowest and of the highest notes, regardless of octave;
- the intervals of all notes, from the lowest of a chord to the highest;
- the pitch classes of the chords, relative to the first.

None depends on tempo or transposition. Of the hashes of all passages, those below a
limit are kept: the same ones in every piece, so that two sketches have the same share
in common as the pieces.

Source: min-wise hashing with a limit instead of a number ("FracMinHash", Irber et al.
2022, doi:10.1101/2022.01.11.475838).
"""

import hashlib

import numpy as np

# An eighth of all hashes (uint32) is kept, but at least `LEAST`.
SAMPLED = 2**32 // 8
LEAST = 512
_CHORD_SECONDS = 0.045
_INTERVALS = 7
_CHORDS = 5
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _turned(sets: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Sets of pitch classes, int of 12 bits, transposed up by `turns` semitones."""
    return (sets << turns | sets >> (12 - turns)) & 0xFFF


# int64 [set of pitch classes]: the transposition that gives the smallest number.
_TURNS = _turned(np.arange(2**12)[:, None], np.arange(12)).argmin(1)


def exact(start: np.ndarray, pitch: np.ndarray) -> bytes:
    """SHA-256 of the onsets, whatever the tempo, transposition and instruments.

    Args:
        start: int [note], steps.
        pitch: int [note]; notes are ordered by pitch, then by start.
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
    """The hashes of all passages, of intervals and of chords; uint32 [passage] each."""
    chord, pitch = _chords(seconds, pitch)
    first = np.diff(chord, prepend=-1) > 0
    last = np.roll(first, -1)
    low, high = (np.diff(pitch[at]) % 12 for at in (first, last))
    return [
        _hashed([low, high, np.diff(pitch) % 256]),
        _hashed_chords(np.flatnonzero(first), pitch),
    ]


def _chords(seconds: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of chords and pitches [note], ordered by chord, then by pitch."""
    order = np.argsort(seconds)
    times = seconds[order]
    latest = times + _CHORD_SECONDS
    apart = np.flatnonzero(times[1:] > latest[:-1])
    first = np.append(0, apart + 1)[: len(times)]
    if (times[np.append(apart, -1)[: len(times)]] > latest[first]).any():
        # Onsets so close together that one chord begins within another's time.
        first = _begins(np.searchsorted(times, latest, side="right"))
    begins = np.zeros(len(times), np.int64)
    begins[first] = 1
    keys = np.sort(np.cumsum(begins) - 1 << 8 | pitch[order])
    return keys >> 8, keys & 0xFF


def _begins(following: np.ndarray) -> np.ndarray:
    """The first note of each chord, given the first note after a chord from each."""
    steps, first, at = following.tolist(), [], 0
    while at < len(steps):
        first.append(at)
        at = steps[at]
    return np.array(first)


def _hashed(intervals: list[np.ndarray]) -> np.ndarray:
    """Hashes of all runs of `_INTERVALS` numbers in several sequences [interval]."""
    kind = np.repeat(np.arange(1, len(intervals) + 1), [len(row) for row in intervals])
    count = max(len(kind) - _INTERVALS + 1, 0)
    values = np.concatenate(intervals).astype(np.uint64)
    hashes = _hashed_rows(
        kind[:count], [values[k : count + k] for k in range(_INTERVALS)]
    )
    return hashes[kind[:count] == kind[len(kind) - count :]]


def _hashed_chords(first: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Hashes of runs of different pitch-class sets; `first`: first notes of chords."""
    sets = np.bitwise_or.reduceat(1 << pitch % 12, first) if len(first) else first
    sets = sets[np.diff(sets, prepend=0) != 0]
    count = max(len(sets) - _CHORDS + 1, 0)
    turns = _TURNS[sets[:count]]
    columns = [_turned(sets[k : count + k], turns) for k in range(_CHORDS)]
    return _hashed_rows(np.full(count, 4), [c.astype(np.uint64) for c in columns])


def _hashed_rows(kind: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """uint32 [row]: hashes of the kind int64 [row] and of each uint64 [row]."""
    state = kind.astype(np.uint64)
    for column in columns:
        state ^= column
        state *= _MULTIPLIER
        state ^= state >> np.uint64(29)
    return (state >> np.uint64(32)).astype(np.uint32)
