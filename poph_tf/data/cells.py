"""Cells: uint8 [time, ..., pitch, 3], channels play, replay, volume.

The axes between time and pitch, if any, are tracks. `data/matrices.py` explains the
channels.
"""

import dataclasses
from typing import Any

import numpy as np

CHANNELS = ("play", "replay", "volume")
PLAY, REPLAY, VOLUME = range(3)
# start, end (steps), pitch, velocity.
Spans = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class TrackCells:
    """One instrument or voice of a piece.

    Attributes:
        name: its name in the piece; may be empty.
        program: General MIDI program, 0..127.
        is_drum: whether its pitches are those of a drum kit.
        cells: uint8 [time, pitch, 3], as in `Matrices`.
    """

    name: str
    program: int
    is_drum: bool
    cells: np.ndarray


def onsets(cells: np.ndarray) -> np.ndarray:
    """The cells where a note begins: play[t]=1 and (play[t-1]=0 or replay[t]=1).

    Args:
        cells: [time, ..., pitch, channel].

    Returns:
        bool [time, ..., pitch].
    """
    return struck(cells, _step_before(cells))


def struck(cells: Any, before: Any) -> Any:
    """The cells where a note begins, given those a step earlier; bool [...].

    Args:
        cells: [..., channel], arrays or tensors.
        before: the same, one step earlier.
    """
    sounded = before[..., PLAY] > 0
    return (cells[..., PLAY] > 0) & (~sounded | (cells[..., REPLAY] > 0))


def _step_before(play: np.ndarray) -> np.ndarray:
    """[time, ...], shifted by one step; silence in the first."""
    return np.concatenate([np.zeros_like(play[:1]), play[:-1]])


def canonical(cells: np.ndarray) -> np.ndarray:
    """The canonical cells of the same notes.

    A replay of a pitch that did not sound is dropped, a held note takes its onset's
    volume, an onset without volume gets 1, silent cells get 0.
    """
    play = cells[..., PLAY] != 0
    right = np.zeros(cells.shape, np.uint8)
    right[..., PLAY] = play
    right[..., REPLAY] = play & _step_before(play) & (cells[..., REPLAY] != 0)
    times = np.arange(len(play)).reshape(-1, *[1] * (play.ndim - 1))
    onset_at = np.maximum.accumulate(np.where(onsets(right), times, 0), axis=0)
    volume = np.take_along_axis(cells[..., VOLUME], onset_at, axis=0)
    right[..., VOLUME] = np.where(play, np.clip(volume, 1, 127), 0)
    return right


def merged(stack: np.ndarray) -> np.ndarray:
    """Merges tracks: a pitch sounds while it sounds in any of them.

    Each onset in a track is an onset of the result; of several at once the loudest
    counts.

    Args:
        stack: canonical cells [time, track, pitch, 3].

    Returns:
        Canonical cells [time, pitch, 3].
    """
    struck = onsets(stack)
    cells = np.zeros((len(stack), *stack.shape[2:]), np.uint8)
    cells[..., PLAY] = stack[..., PLAY].any(axis=1)
    cells[..., REPLAY] = struck.any(axis=1)
    volume = np.where(struck, stack[..., VOLUME], 0)
    cells[..., VOLUME] = volume.max(axis=1, initial=0)
    return canonical(cells)


def spans(cells: np.ndarray) -> Spans:
    """The notes of canonical cells.

    Args:
        cells: [time, pitch, 3].

    Returns:
        start, end (steps), pitch, velocity: int64 [note], by start, then pitch.
    """
    play = np.pad(cells[..., PLAY] != 0, ((0, 1), (0, 0)))
    onset = onsets(np.pad(cells, ((0, 1), (0, 0), (0, 0))))
    pitch, start = np.nonzero(onset.T)
    stop_pitch, stop = np.nonzero((onset | ~play).T)
    # On each pitch, every onset is followed by another or by silence.
    scale = len(play)
    at = np.searchsorted(stop_pitch * scale + stop, pitch * scale + start, "right")
    end = stop[at] if len(start) else start
    velocity = cells[start, pitch, VOLUME].astype(np.int64)
    order = np.lexsort((pitch, start))
    return start[order], end[order], pitch[order], velocity[order]


def share(count: int, total: int) -> str:
    """A number of notes and their share, in words."""
    return f"{count} of {total} notes ({count / max(total, 1):.0%})"


def share_outside(cells: np.ndarray, low: int, high: int) -> str:
    """The share of notes outside the pitches `low` to `high`, in words; "" if none.

    Args:
        cells: [time, ..., pitch, channel].
        low: the lowest pitch, MIDI number.
        high: the highest.
    """
    by_pitch = onsets(cells).reshape(-1, cells.shape[-2]).sum(axis=0)
    outside = int(by_pitch.sum() - by_pitch[low : high + 1].sum())
    return share(outside, int(by_pitch.sum())) if outside else ""
