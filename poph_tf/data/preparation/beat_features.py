"""The beat network's input: features of a performance in frames of 40 ms.

Each half of a frame describes the notes that begin in it: how many, how loud, how long,
how high, and whether they are the lowest or highest for a while, since beats fall on
bass notes, chords and long notes. Three more features tell how much the pitch classes
after the frame differ from those before, since harmony changes on strong beats.

Reference for the cues: Temperley, The Cognition of Basic Musical Structures, 2001,
chapters 2 and 6.
"""

import numpy as np

FRAME_SECONDS = 0.04
# Time before the first onset, so that a beat may lie there.
LEAD_SECONDS = 1.0
_BANDS = (41, 49, 56, 63, 72)  # pitches that divide the keyboard into six registers
_HALF_SECONDS = FRAME_SECONDS / 2
# Half-frames on each side that are searched for the lowest or highest note.
_REACHES = (9, 25, 75)
_NOVELTY_FRAMES = (8, 20, 40)
PER_HALF = 6 + 2 * len(_REACHES) + len(_BANDS) + 1
LOW = 3  # of these, the height of the lowest note
NUM_FEATURES = 2 * PER_HALF + len(_NOVELTY_FRAMES)


def frames(
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    velocity: np.ndarray,
    origin: float,
    count: int,
) -> np.ndarray:
    """The features of each frame.

    Args:
        start: float [note], seconds.
        end: float [note], seconds.
        pitch: int [note], MIDI numbers.
        velocity: int [note], MIDI numbers.
        origin: time of the first frame, seconds.
        count: number of frames.

    Returns:
        float32 [frame, feature].
    """
    pitch = pitch.astype(np.int64)
    halves = _Halves(start, origin, 2 * count)
    number = halves.number()
    loud = (velocity - velocity.mean()) / (velocity.std() + 6.0)
    length = np.log2(1 + np.clip(end - start, 0.02, 4.0) / 0.1)
    band = np.searchsorted(_BANDS, pitch, side="right")
    columns = [
        number,
        np.where(number > 0, halves.extreme(loud, np.maximum, -9.0), 0.0) / 2,
        np.where(number > 0, halves.extreme(length, np.maximum, 0.0), 0.0) / 3,
        *_heights(halves, pitch),
        _Halves(end, origin, 2 * count).number(),
        *(halves.number(band == k) for k in range(len(_BANDS) + 1)),
    ]
    features = np.stack(columns, axis=1).reshape(count, 2 * PER_HALF)
    novelty = _novelty(start, pitch, length, origin, count)
    return np.concatenate([features, novelty], axis=1).astype(np.float32)


def bar_evidence(features: np.ndarray) -> np.ndarray:
    """How much frames look like bar lines at sight: low notes and new harmony.

    Args:
        features: float32 [frame, feature] of `frames`.

    Returns:
        float64 [frame], 0 on average.
    """
    halves = features[:, : 2 * PER_HALF].reshape(len(features), 2, PER_HALF)
    deep = -halves[..., LOW].min(axis=1)
    seen = deep.astype(np.float64) + features[:, -2:].sum(axis=1)
    return seen - seen.mean()


class _Halves:
    """Half-frames and the notes in them."""

    def __init__(self, times: np.ndarray, origin: float, count: int) -> None:
        place = np.floor((times - origin) / _HALF_SECONDS).astype(np.int64)
        self._inside = (place >= 0) & (place < count)
        self._place, self._count = place, count

    def number(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Logarithm of the number of (chosen) notes, float [half]."""
        keep = self._inside if chosen is None else self._inside & chosen
        return np.log1p(np.bincount(self._place[keep], minlength=self._count))

    def extreme(self, values: np.ndarray, of: np.ufunc, empty: float) -> np.ndarray:
        """The least or greatest value among the notes of each half."""
        table = np.full(self._count, empty, np.asarray(values).dtype)
        of.at(table, self._place[self._inside], values[self._inside])
        return table


def _heights(halves: _Halves, pitch: np.ndarray) -> list[np.ndarray]:
    """The lowest and highest note of each half, and whether they are so for a while."""
    low = halves.extreme(pitch, np.minimum, 128)
    high = halves.extreme(pitch, np.maximum, -1)
    begun, middle = low < 128, np.median(pitch)
    return [
        np.where(begun, low - middle, 0.0) / 24,
        np.where(begun, high - middle, 0.0) / 24,
        *(begun & (low <= -_highest(-low, reach)) for reach in _REACHES),
        *(begun & (high >= _highest(high, reach)) for reach in _REACHES),
    ]


def _highest(values: np.ndarray, reach: int) -> np.ndarray:
    """The maximum within `reach` places on both sides."""
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return windows.max(axis=1)


def _novelty(
    start: np.ndarray, pitch: np.ndarray, weight: np.ndarray, origin: float, count: int
) -> np.ndarray:
    """How the pitch classes before and after each frame differ: float [frame, span]."""
    frame = np.floor((start - origin) / FRAME_SECONDS).astype(np.int64)
    keep = (frame >= 0) & (frame < count)
    place = frame[keep] * 12 + pitch[keep] % 12
    chroma = np.bincount(place, weight[keep], minlength=12 * count).reshape(count, 12)
    total = np.vstack([np.zeros(12), np.cumsum(chroma, axis=0)])
    here = np.arange(count)
    columns = []
    for span in _NOVELTY_FRAMES:
        before = total[here] - total[np.maximum(here - span, 0)]
        after = total[np.minimum(here + span, count)] - total[here]
        norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        same = (before * after).sum(axis=1) / np.maximum(norms, 1e-6)
        columns.append(np.where(norms > 0, 1 - same, 0.0))
    return np.stack(columns, axis=1)
