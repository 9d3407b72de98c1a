"""Finds the beats and bar lines of a performance from its notes alone.

    notes -> features of frames -> network -> log-odds -> the best chain of beats

Beats that notes fall on are at the mean of their onsets; the others stay where the
decoder puts them. The result depends on the notes' times, pitches and velocities, not
on the tempi, metres or pedals of a file.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes
from poph_tf.data.preparation import beat_decoding, beat_features, beat_network
from poph_tf.data.preparation.beat_decoding import Weights

if TYPE_CHECKING:
    from note_seq import NoteSequence

Listener = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
_WEIGHTS = Weights()
# How near a note is to its beat, and the notes of a chord to each other.
_SNAP_SECONDS = 0.06
_CHORD_SECONDS = 0.03
# Chords and single notes that begin in a beat: the median of 26 compositions of ASAP,
# nearly all of which have 2.6 to 6.5; and its spread, as a logarithm.
_USUAL_ONSETS, _ONSETS_SPREAD = 4.0, 0.4
# A piece is in bars of two if at most this share of beats is third or fourth in a bar.
_OTHER_BARS = 0.1
# The log-probability of tempi that are ruled out.
_NEVER = -1000.0
# Longer performances would need more memory than a worker has.
MAX_SECONDS = 3 * 3600


@dataclasses.dataclass(frozen=True, eq=False)
class Beats:
    """The beats of a performance.

    Attributes:
        beats: float64 [beat], seconds, ascending.
        downbeats: float64 [bar], seconds: the beats that begin a bar.
    """

    beats: np.ndarray
    downbeats: np.ndarray


def find(
    piece: "Notes | NoteSequence", *, listen: Listener = beat_network.apply
) -> Beats:
    """Finds the beats of a performance.

    Args:
        piece: its notes. Drums count only if there is nothing else.
        listen: computes the evidence for `beat_decoding.decode` from features.

    Returns:
        The beats; none for a piece without notes or longer than `MAX_SECONDS`.
    """
    notes = piece if isinstance(piece, Notes) else notes_lib.from_sequence(piece)
    pitched = ~notes.is_drum
    notes = notes_lib.select(notes, pitched) if pitched.any() else notes
    start, end = map(notes_lib.seconds_of(notes), (notes.start_tick, notes.end_tick))
    if not len(start) or start.max() - start.min() > MAX_SECONDS:
        return Beats(np.zeros(0), np.zeros(0))
    origin = start.min() - beat_features.LEAD_SECONDS
    length = start.max() - origin + beat_features.LEAD_SECONDS
    count = int(length / beat_features.FRAME_SECONDS)
    columns = (start, end, notes.pitch, notes.velocity)
    features = beat_features.frames(*columns, origin, count)
    beat, bar, tempo = listen(features)
    bar = bar + _WEIGHTS.sight * beat_features.bar_evidence(features)
    onsets = np.sort(start)
    tempo, density, bar = _by_interval(tempo), usual_density(onsets), _nearby(bar)
    likely = tempo + _WEIGHTS.density * density
    frame, place = beat_decoding.decode(beat, bar, likely, _WEIGHTS)
    slower = _half_tempo(frame, place, tempo + _WEIGHTS.level * density)
    if slower is not None:
        likely = np.where(slower, likely, _NEVER)
        frame, place = beat_decoding.decode(beat, bar, likely, _WEIGHTS)
    times = origin + (frame + 0.5) * beat_features.FRAME_SECONDS
    times = _snapped(times, onsets)
    return Beats(times, times[place == 0])


def _by_interval(tempo: np.ndarray) -> np.ndarray:
    """Interpolates the network's log-probabilities at the intervals of the decoder."""
    known = np.log(beat_network.INTERVALS)
    wanted = np.log(beat_decoding.INTERVALS * beat_features.FRAME_SECONDS)
    place = np.clip((wanted - known[0]) / (known[1] - known[0]), 0, len(known) - 1)
    left = np.minimum(place.astype(np.int64), len(known) - 2)
    share = place - left
    return tempo[:, left] * (1 - share) + tempo[:, left + 1] * share


def usual_density(onsets: np.ndarray) -> np.ndarray:
    """How likely each beat interval is, given the number of onsets in it.

    Tempo alone does not tell whether a beat is a half or a quarter note; but most music
    has about four onsets in what is written as a beat.

    Args:
        onsets: float [note], seconds, ascending.

    Returns:
        float [interval of the decoder], log-probability up to a constant.
    """
    chords = np.count_nonzero(np.diff(onsets, prepend=-np.inf) > _CHORD_SECONDS)
    rate = chords / max(onsets[-1] - onsets[0], 1.0)
    number = beat_decoding.INTERVALS * beat_features.FRAME_SECONDS * rate
    return -((np.log(number / _USUAL_ONSETS) / _ONSETS_SPREAD) ** 2) / 2


def _half_tempo(
    frame: np.ndarray, place: np.ndarray, likely: np.ndarray
) -> np.ndarray | None:
    """Which intervals are near half the tempo of a chain, if that is more likely.

    Bars of two may be the beats. Twice as many beats add up more evidence of beats,
    even if nobody counts that fast; here tempo and density alone decide, over the whole
    piece.

    Args:
        frame: int [beat], ascending.
        place: int [beat], in the bar.
        likely: float [frame, interval], log-probability of each tempo.

    Returns:
        bool [frame, interval]; None if the tempo of the chain stays.
    """
    if len(frame) < 2 or np.mean(place > 1) > _OTHER_BARS:
        return None
    known = beat_decoding.INTERVALS
    last = np.searchsorted(frame, np.arange(len(likely)), side="right") - 1
    own = np.diff(frame)[last.clip(0, len(frame) - 2), None]
    distance = np.abs(np.log(known / own)), np.abs(np.log(known / (2 * own)))
    found, half = (
        np.take_along_axis(likely, far.argmin(axis=1)[:, None], axis=1).mean()
        for far in distance
    )
    if half <= found or 2 * np.median(own) > known[-1]:
        return None
    return distance[1] < np.log(2) / 2


def _nearby(evidence: np.ndarray) -> np.ndarray:
    """The greatest evidence within a frame of each: float [frame]."""
    padded = np.pad(evidence, 1, constant_values=-np.inf)
    return np.maximum(np.maximum(padded[:-2], padded[2:]), evidence)


def _snapped(times: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Moves beats to the mean onset of the notes nearest to them.

    Args:
        times: float [beat], seconds, ascending.
        onsets: float [note], seconds, ascending.
    """
    right = np.searchsorted(onsets, times).clip(1, max(len(onsets) - 1, 1))
    pair = onsets[np.stack([right - 1, right.clip(max=len(onsets) - 1)])]
    nearest = np.where(times - pair[0] <= pair[1] - times, pair[0], pair[1])
    low = np.searchsorted(onsets, nearest - _CHORD_SECONDS)
    high = np.searchsorted(onsets, nearest + _CHORD_SECONDS, side="right")
    total = np.concatenate([[0.0], np.cumsum(onsets)])
    mean = (total[high] - total[low]) / (high - low)
    return np.where(np.abs(nearest - times) <= _SNAP_SECONDS, mean, times)
