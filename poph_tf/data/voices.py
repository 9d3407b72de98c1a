"""Separates notes into monophonic voices.

A beam search over the onsets: of all ways to assign the starting notes to free voices,
it keeps those that cost least. A voice should move little, stay near its own register
and not cross another (pitch proximity and the avoidance of crossing, the two principles
that most rules of voice separation share).

Source: Chew & Wu (2004), "Separating voices in polyphonic music: a contig mapping
approach", CMMR; Huron (2001), "Tone and voice", Music Perception 19.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from poph_tf.errors import InputError

BEAM = 24
# Costs in semitones: of a crossing; of each semitone between a note and the middle of
# its voice. A leap costs at most `LEAP`.
CROSSING, REGISTER, LEAP = 6.0, 0.2, 14.0
# The middles of a choir's voices, MIDI pitches.
CHOIR = (71.5, 65.0, 59.5, 51.0)


class _Path(NamedTuple):
    """One way to assign the notes so far.

    Attributes:
        cost: the total cost.
        ends: when each voice is free.
        pitches: the last pitch of each voice; -1 before its first.
        labels: the voices of the notes in order of time, as a linked list.
    """

    cost: float
    ends: tuple[int, ...]
    pitches: tuple[int, ...]
    labels: tuple | None


def separate(
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    middles: Sequence[float] = CHOIR,
) -> np.ndarray:
    """Assigns notes to voices.

    Args:
        start: int [note], in any unit of time.
        end: int [note].
        pitch: int [note].
        middles: the middle pitch of each voice, from high to low.

    Returns:
        int [note]: the voice of each, 0 the highest.

    Raises:
        InputError: If more notes sound at once than there are voices.
    """
    order = np.lexsort((-pitch.astype(int), start))
    num_voices = len(middles)
    paths = [_Path(0.0, (-1,) * num_voices, (-1,) * num_voices, None)]
    for time, group in itertools.groupby(order.tolist(), key=lambda k: int(start[k])):
        notes = [(int(pitch[k]), int(end[k])) for k in group]
        paths = [p for path in paths for p in _options(path, time, notes, middles)]
        if not paths:
            raise InputError(f"more than {num_voices} notes at once")
        paths = _best(paths)
    labels = np.empty(len(order), np.int64)
    rest = paths[0].labels
    for k in order[::-1]:
        assert rest is not None
        labels[k], rest = rest
    return labels


def _best(paths: Sequence[_Path]) -> list[_Path]:
    """The cheapest paths; of those with the same state of the voices, only one."""
    kept: dict[tuple, _Path] = {}
    for path in sorted(paths, key=lambda p: p.cost):
        kept.setdefault((path.ends, path.pitches), path)
        if len(kept) == BEAM:
            break
    return list(kept.values())


def _options(
    path: _Path, time: int, notes: Sequence[tuple[int, int]], middles: Sequence[float]
) -> list[_Path]:
    """All ways to continue with the notes (pitch, end) that begin at a time."""
    free = [voice for voice, end in enumerate(path.ends) if end <= time]
    found = []
    for chosen in itertools.permutations(free, len(notes)):
        ends, pitches = list(path.ends), list(path.pitches)
        labels, cost = path.labels, 0.0
        for voice, (pitch, end) in zip(chosen, notes, strict=True):
            before = path.pitches[voice]
            cost += min(abs(pitch - before), LEAP) if before >= 0 else 0.0
            cost += REGISTER * abs(pitch - middles[voice])
            ends[voice], pitches[voice], labels = end, pitch, (voice, labels)
        sounding = [p for p, end in zip(pitches, ends, strict=True) if end > time]
        pairs = itertools.combinations(sounding, 2)
        cost += CROSSING * sum(high < low for high, low in pairs)
        found.append(_Path(path.cost + cost, tuple(ends), tuple(pitches), labels))
    return found
