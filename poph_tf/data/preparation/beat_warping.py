"""Puts a performance on the grid of its own beats: ticks that follow the tempo.

Time is warped linearly from beat to beat, so that each interval between beats lasts the
same. What a beat is follows from how the notes divide it, bar by bar, with a penalty
for each change:

| beat | notes on | metre of three beats |
|---|---|---|
| quarter | quarters of the beat | 3/4 |
| dotted quarter | sixths | 9/8 |
| half | eighths | 3/2 |

So compound metres, and simple ones that are written in triplets throughout, become 6/8,
9/8 and 12/8, whose notes lie on the grid. Tempi are those of the beats.

Reference: Temperley, A Unified Probabilistic Model for Polyphonic Music Analysis,
J. New Music Research 38(1), 2009, on choosing metre by how well it explains onsets.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes
from poph_tf.data.preparation.beats import Beats

# Thirds, sixths and eighths of a beat are whole numbers of ticks.
TICKS_PER_QUARTER = 480
# Eighths in a beat, and the number of equal parts into which its notes divide it.
_EIGHTHS = np.array([2, 3, 4])
_DIVISIONS = np.array([4, 6, 8])
# Deviation of a performer's onsets, and the share of onsets that lie anywhere.
_JITTER_SECONDS, _ANYWHERE = 0.025, 0.1
_CHANGE_PENALTY = 15.0


def along(notes: Notes, found: Beats) -> Notes:
    """Puts notes on the grid of beats that were found for them.

    Args:
        notes: a performance, in any ticks.
        found: at least two beats.

    Returns:
        The same notes in new ticks, with the tempi and the bars of `found`. It begins
        on the last beat before its first note; an incomplete first bar counts as an
        upbeat.
    """
    seconds = notes_lib.seconds_of(notes)
    onsets = seconds(notes.start_tick)
    beats = _covering(found.beats, onsets)
    eighths = beat_eighths(onsets, beats, found.downbeats)
    lengths = eighths * (TICKS_PER_QUARTER // 2)  # of the interval after each beat
    ticks = np.concatenate([[0], np.cumsum(lengths[:-1])])
    warp = _warp(beats, ticks)
    pedals = notes_lib.at_ticks(notes.pedals, lambda tick: warp(seconds(tick)))
    start = warp(onsets)
    return dataclasses.replace(
        notes,
        start_tick=start,
        end_tick=np.maximum(warp(seconds(notes.end_tick)), start + 1),
        ticks_per_quarter=TICKS_PER_QUARTER,
        tempo_ticks=ticks[:-1],
        tempo_qpms=30 * eighths[:-1] / np.diff(beats),
        time_signatures=_signatures(beats, ticks, eighths, found.downbeats),
        pedals=pedals[np.argsort(pedals[:, 0], kind="stable")],
        bar_marks=np.zeros((0, 2), np.int64),
        length_tick=0,
    )


def _covering(beats: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Beats from the last one before the first note to the first after the last note.

    There are at least two.
    """
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    # Half of the shortest sixteenth: an early note belongs to the beat after it.
    early = max(beats[0] - onsets.min() - first / 16, 0.0)
    before = beats[0] - first * np.arange(np.ceil(early / first), 0, -1)
    late = max(onsets.max() - beats[-1], onsets.min() + first / 16 - beats[-1], 0.0)
    after = beats[-1] + last * np.arange(1, np.floor(late / last) + 2)
    every = np.concatenate([before, beats, after])
    return every[np.searchsorted(every, onsets.min() + first / 16, side="right") - 1 :]


def _warp(beats: np.ndarray, ticks: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from seconds to whole ticks, linear between and beyond beats."""
    slopes = np.diff(ticks) / np.diff(beats)

    def warp(times: np.ndarray) -> np.ndarray:
        k = np.searchsorted(beats, times, side="right") - 1
        k = k.clip(0, len(slopes) - 1)
        moved = ticks[k] + (times - beats[k]) * slopes[k]
        return np.maximum(np.round(moved), 0).astype(np.int64)

    return warp


def beat_eighths(
    onsets: np.ndarray, beats: np.ndarray, downbeats: np.ndarray
) -> np.ndarray:
    """How many eighths each beat has: 2, 3 or 4.

    Args:
        onsets: float [note], seconds.
        beats: float [beat], seconds, ascending, around the onsets.
        downbeats: float [bar], seconds; beats of one bar are of one kind.

    Returns:
        int64 [beat].
    """
    k = (np.searchsorted(beats, onsets, side="right") - 1).clip(0, len(beats) - 2)
    length = np.diff(beats)[k]
    share = (onsets - beats[k]) / length
    bar = np.searchsorted(downbeats, beats + 1e-9, side="right")
    fits = np.zeros((bar[-1] + 1, len(_DIVISIONS)))
    for kind, parts in enumerate(_DIVISIONS):
        np.add.at(fits[:, kind], bar[k], _fit(share, length, parts))
    return _EIGHTHS[_smoothest(fits)][bar]


def _fit(share: np.ndarray, length: np.ndarray, parts: int) -> np.ndarray:
    """Log-likelihood of onsets at `share` of their beats, divided into `parts`."""
    off = np.abs(share * parts - np.round(share * parts)) / parts * length
    spread = np.minimum(_JITTER_SECONDS / length, 0.5)
    density = np.exp(-((off / _JITTER_SECONDS) ** 2) / 2) / (
        spread * np.sqrt(2 * np.pi)
    )
    return np.log(_ANYWHERE + (1 - _ANYWHERE) * density / parts)


def _smoothest(fits: np.ndarray) -> np.ndarray:
    """The best sequence of kinds, int [bar], for float [bar, kind] and penalties."""
    change = _CHANGE_PENALTY * (1 - np.eye(fits.shape[1]))
    origin = np.zeros(fits.shape, np.int64)
    score = fits[0]
    for k in range(1, len(fits)):
        chains = score[:, None] - change
        origin[k] = chains.argmax(axis=0)
        score = chains.max(axis=0) + fits[k]
    kinds = [int(score.argmax())]
    for k in range(len(fits) - 1, 0, -1):
        kinds.append(int(origin[k, kinds[-1]]))
    return np.array(kinds[::-1])


def _signatures(
    beats: np.ndarray, ticks: np.ndarray, eighths: np.ndarray, downbeats: np.ndarray
) -> np.ndarray:
    """int64 [change, 3]: the metre at each bar whose length changes."""
    lines = np.flatnonzero(np.isin(beats, downbeats))
    if not len(lines):
        return np.array([(0, *_metre(4, int(eighths[0])))], np.int64)
    counts = np.diff(lines).tolist()
    counts = counts + counts[-1:] or [4]  # the last bar is as long as the one before
    rows = []
    if lines[0]:
        rows.append((0, *_metre(max(counts[0], int(lines[0])), int(eighths[0]))))
    last = None  # A bar line after an upbeat repeats the metre, which cuts it short.
    for line, count in zip(lines.tolist(), counts, strict=True):
        metre = _metre(count, int(eighths[line]))
        if metre != last:
            rows.append((int(ticks[line]), *metre))
        last = metre
    return np.array(rows, np.int64)


def _metre(beats: int, eighths: int) -> tuple[int, int]:
    """The time signature of a bar of `beats` beats, each of `eighths` eighths."""
    return (beats * 3, 8) if eighths == 3 else (beats, 8 // eighths)
